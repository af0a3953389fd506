#!/usr/bin/env python3
"""A type has one definition: no two files give one name, outside unnamed namespaces, to different types.

usage: one_definition.py SOURCE_DIR

No compiler sees both files, and the linker keeps one of the two where a template is made for each: std::vector<Word> of one
file then works with the other's size.
"""
import collections
import pathlib
import re
import sys

NAMESPACE = re.compile(r"^(?:inline )?namespace(?: ([\w:]+))? \{")
END = re.compile(r"^\}\s*// namespace")
TYPE = re.compile(r"^(?:struct|class|union|enum(?: class)?)\s+(?:alignas\(\w+\)\s*)?([A-Za-z_]\w*)\s*(?:final\s*)?(?::[^:]|\{|$)")


def types(path: pathlib.Path):
    """(qualified name, line) of the types that other files could meet."""
    inside = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if begin := NAMESPACE.match(line):
            inside.append(begin[1] or "")
        elif END.match(line):
            inside.pop() if inside else sys.exit(f"{path}:{number} ends a namespace that did not begin")
        elif "" not in inside and (found := TYPE.match(line)):
            yield "::".join([*inside, found[1]]), number


def main() -> None:
    root = pathlib.Path(sys.argv[1])
    places = collections.defaultdict(list)
    for folder in ("src", "kernels"):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in (".h", ".cc", ".cu", ".cuh"):
                for name, number in types(path):
                    places[name].append(f"{path.relative_to(root)}:{number}")
    twice = {name: where for name, where in places.items() if len(where) > 1}
    if len(places) < 100:
        sys.exit(f"only {len(places)} types were found in {root}: does this program still know how they are written?")
    for name, where in sorted(twice.items()):
        print(f"{name} is defined in {' and '.join(where)}: rename one")
    sys.exit(1 if twice else 0)


if __name__ == "__main__":
    main()
