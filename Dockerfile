# A container that holds the program, libtorch and every other library, and nothing that built them.
# usage: docker build -t lmbits . && docker run --rm -v "$PWD:/data" lmbits eval --model model.pt --corpus novel.txt
FROM debian:12 AS build
WORKDIR /source
COPY . .
RUN scripts/package \
 && mkdir /lmbits \
 && tar -C /lmbits --strip-components=1 -xzf build/lmbits-*.tar.gz

FROM debian:12-slim
COPY --from=build /lmbits /lmbits
ENV PATH=/lmbits/bin:$PATH
WORKDIR /data
ENTRYPOINT ["lmbits"]
