"""lmbits serve: the history's pages over HTTP, as any client and as headless Chromium see them; all else is refused."""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request

import harness


class Serve(harness.ProgramTest):
    @classmethod
    def setUpClass(cls):
        """A night with two runs, of which each test gets a copy."""
        super().setUpClass()
        cls.original = pathlib.Path(tempfile.mkdtemp(prefix="lmbits_cli_"))
        cls.addClassCleanup(shutil.rmtree, cls.original, ignore_errors=True)
        corpus, night = cls.original / "prose.txt", cls.original / "night"
        corpus.write_bytes((harness.SOURCE / "models/heldout/prose.txt").read_bytes()[:20000])
        commands = [["eval", "--model", f"{model.split(':')[0]}={model}", "--corpus", corpus, "-o", night / "runs", "--split",
                     "1024", "--baselines", "none", "--quiet"] for model in ("uniform:256", f"bigram:{corpus}")]
        for command in [*commands, ["history", "--db", night / "history.sqlite", "import", night / "runs"]]:
            outcome = harness.run(command)
            if outcome.code != 0:
                raise RuntimeError(outcome.err)

    def setUp(self):
        super().setUp()
        shutil.copytree(self.original, self.folder, dirs_exist_ok=True)
        self.night = self.folder / "night"
        self.database = self.night / "history.sqlite"
        (self.night / "metrics.prom").write_text("lmbits_nightly_exit_code 0\n")
        (self.folder / "secret.txt").write_text("secret")
        self.server = harness.start(["serve", "--db", self.database, "--port", "0"])
        line = self.server.stdout.readline()
        if not line and "built without an HTTP library" in self.server.communicate()[1]:
            self.skipTest("built without libcpp-httplib-dev")
        self.port = int(re.search(r"127\.0\.0\.1:(\d+)", line).group(1))
        self.addCleanup(self.stop)

    def stop(self):
        if self.server.poll() is None:
            self.server.send_signal(signal.SIGTERM)
            self.assertEqual(harness.Outcome(self.server).code, 0)

    def get(self, path, method="GET", headers=None, body=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method, headers=headers or {}, data=body)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read().decode(), answer.headers
        except urllib.error.HTTPError as answer:
            return answer.code, answer.read().decode(), answer.headers

    def raw(self, request):
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            try:
                connection.sendall(request)
                answer = b""
                while chunk := connection.recv(1 << 16):
                    answer += chunk
            except ConnectionError:  # closed before all was sent: refused as well
                pass
        found = re.match(rb"HTTP/1\.1 (\d+)", answer)
        return int(found.group(1)) if found else None, answer

    def test_pages(self):
        status, body, headers = self.get("/")
        self.assertEqual(status, 200)
        self.assertIn("2 runs", body)
        self.assertEqual(headers["X-Content-Type-Options"], "nosniff")
        self.assertIn("default-src 'none'", headers["Content-Security-Policy"])
        status, body, _ = self.get("/api/runs?model=uni*")
        self.assertEqual([row["model"] for row in json.loads(body)], ["uniform"])
        self.assertAlmostEqual(json.loads(body)[0]["bits_per_byte"], 8.0)
        status, body, _ = self.get(json.loads(body)[0]["page"])
        self.assertEqual(status, 200)
        self.assertIn("20 documents", body)
        self.assertEqual(self.get("/metrics")[:2], (200, "lmbits_nightly_exit_code 0\n"))
        self.assertEqual(self.get("/", method="HEAD")[:2], (200, ""))

    def test_pages_are_live(self):
        corpus = self.folder / "prose.txt"
        harness.run(["eval", "--model", "later=uniform:300", "--corpus", corpus, "-o", self.night / "runs", "--split", "1024",
                     "--baselines", "none", "--quiet"])
        harness.run(["history", "--db", self.database, "import", self.night / "runs"])
        self.assertIn("3 runs", self.get("/")[1])

    def test_names_from_outside_stay_text(self):
        harness.run(["eval", "--model", "<script>alert(1)</script>=uniform:300", "--corpus", self.folder / "prose.txt",
                     "-o", self.night / "runs", "--split", "1024", "--baselines", "none", "--quiet"])
        harness.run(["history", "--db", self.database, "import", self.night / "runs"])
        self.assertNotIn("<script>alert", self.get("/")[1])
        self.assertNotIn("<script>alert", self.get("/?model=%3Cscript%3Ealert(1)")[1])

    def test_only_its_own_pages(self):
        for path in ("/../secret.txt", "/%2e%2e/secret.txt", "/night/../../secret.txt", "/run/../../secret.txt",
                     "/run/1/../2", "/history.sqlite", "/runs", "/run/", "/run/0", "/run/999", "/run/-1", "/run/1%00",
                     "//etc/passwd", "/night", "/..%5csecret.txt"):
            status, answer = self.raw(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            self.assertIn(status, (400, 404), path)
            self.assertNotIn(b"secret\n", answer)
            self.assertNotIn(b"root:", answer)
        self.assertEqual(self.get("/?last=many")[0], 400)
        self.assertEqual(self.get("/?last=99999999999999999999")[0], 400)

    def test_nothing_is_written(self):
        before = {p: p.stat().st_mtime_ns for p in self.night.rglob("*") if p.is_file()}
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            self.assertEqual(self.get("/", method=method)[0], 405, method)
        self.assertIn(self.get("/", method="POST", body=b"x" * 10)[0], (405, 413))
        self.get("/")
        after = {p: p.stat().st_mtime_ns for p in self.night.rglob("*") if p.is_file() and not p.name.endswith(("-wal", "-shm"))}
        self.assertEqual({p: t for p, t in before.items() if p in after}, after)

    def test_oversized_requests(self):
        host = b"Host: localhost\r\nConnection: close\r\n"
        self.assertIn(self.raw(b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n" + host + b"\r\n")[0], (400, 414, None))
        self.assertIn(self.raw(b"GET / HTTP/1.1\r\n" + host + b"X: " + b"a" * 100_000 + b"\r\n\r\n")[0], (400, 431, None))
        self.assertIn(self.raw(b"GET / HTTP/1.1\r\n" + host + b"Content-Length: 5\r\n\r\nhello")[0], (413,))
        self.assertIn(self.raw(b"POST / HTTP/1.1\r\n" + host + b"Content-Length: 1000000000\r\n\r\n")[0], (405, 413))
        self.assertEqual(self.raw(b"nonsense\r\n\r\n")[0] or 400, 400)
        self.assertEqual(self.get("/")[0], 200)  # and it still answers

    def test_a_web_page_s_own_name_does_not_reach_it(self):
        self.assertEqual(self.get("/", headers={"Host": "evil.example"})[0], 403)
        self.assertEqual(self.get("/", headers={"Host": f"localhost:{self.port}"})[0], 200)

    def test_another_port_in_use_is_told(self):
        outcome = harness.run(["serve", "--db", self.database, "--port", self.port])
        self.assert_one_error(outcome, 3, str(self.port))

    def test_chromium(self):
        chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        if chromium is None:
            self.skipTest("no Chromium")
        picture = self.folder / "page.png"
        command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={self.folder}/profile",
                   "--enable-logging=stderr", "--virtual-time-budget=3000", f"--screenshot={picture}", "--window-size=1000,1400"]
        shown = subprocess.run([*command, f"http://127.0.0.1:{self.port}/"], capture_output=True, text=True, timeout=120)
        self.assertTrue(picture.exists(), shown.stderr)
        self.assertNotIn("Refused to", shown.stderr)  # its own policy lets all of the page through
        dom = subprocess.run([*command[:-2], "--dump-dom", f"http://127.0.0.1:{self.port}/"], capture_output=True, text=True,
                             timeout=120).stdout
        self.assertIn("<svg", dom)
        self.assertEqual(len(re.findall(r"/run/\d+", dom)), 2)
        keep = os.environ.get("LMBITS_KEEP_PICTURE")
        if keep:
            shutil.copy(picture, keep)


if __name__ == "__main__":
    harness.main()
