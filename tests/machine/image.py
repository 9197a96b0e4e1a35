# SPDX-License-Identifier: BSD-2-Clause
"""Images for machine tests, made by `make image` and kept as long as what goes into them is the same."""

import glob
import hashlib
import os
import subprocess
import threading

from machine import BUILD, ROOT

IMAGES = os.path.join(BUILD, "test-images")
OUTPUT_MAX = 2000               # characters of make's output that a message shows
# One at a time: they share the build folder.
making = threading.Lock()


class ImageError(Exception):
    pass


def hash_file(digest, path):
    digest.update(path.encode())
    with open(path, "rb") as f:
        digest.update(hashlib.file_digest(f, "sha256").digest())


def key_of(machine):
    """Changes when anything does that the image is made of."""
    digest = hashlib.sha256(repr((machine.manifest, machine.program, machine.acpi, machine.cpus, machine.nodes,
                                  machine.mem)).encode())
    paths = [os.path.join(BUILD, f) for f in machine.files]
    paths += sorted(glob.glob(os.path.join(BUILD, "**", "*.[eE][fF][iI]"), recursive=True))
    paths += sorted(glob.glob("tools/*image*") + glob.glob("tools/*acpi*"))
    if machine.acpi:
        paths += sorted(glob.glob(os.path.join(machine.acpi, "*.dat")))
    for path in paths:
        hash_file(digest, path)
    return digest.hexdigest()[:16]


def arguments(machine, folder, image):
    words = [f"IMAGE={image}", f"CPUS={machine.cpus}", f"NODES={machine.nodes}", f"MEM={machine.mem}"]
    if machine.manifest is not None:
        manifest = os.path.join(folder, "tarn.conf")
        with open(manifest, "w", encoding="utf-8") as f:
            f.write(machine.manifest)
        words.append(f"MANIFEST={manifest}")
    else:
        words.append("MANIFEST=")
    if machine.files:
        words.append("FILES=" + " ".join(os.path.join(BUILD, f) for f in machine.files))
    if machine.program:
        words.append("IMAGE_TARN=" + os.path.join(BUILD, machine.program))
    if machine.acpi:
        words.append(f"ACPI={machine.acpi}")
    return words


def make(*words):
    # A make of its own: not the flags and variables of the one that started the tests.
    clean = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES")}
    command = ["make", "-s", f"BUILD={BUILD}", *words]
    done = subprocess.run(command, cwd=ROOT, env=clean, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise ImageError(f"{' '.join(command)} failed:\n{done.stdout[-OUTPUT_MAX:].rstrip()}")


def image_make(machine, folder):
    """Returns the path of the machine's image."""
    with making:
        make(*(os.path.join(BUILD, f) for f in [machine.program or "BOOTX64.EFI", *machine.files]))
        image = os.path.join(IMAGES, key_of(machine) + ".img")
        if os.path.exists(image):
            return image
        os.makedirs(IMAGES, exist_ok=True)
        # Of our own: another run may make one at the same time.
        part = os.path.join(IMAGES, f"part-{os.getpid()}.img")
        make("image", *arguments(machine, folder, part))
        # The front program may have been built only now, so the key is asked again.
        image = os.path.join(IMAGES, key_of(machine) + ".img")
        os.replace(part, image)
        return image


def images_keep(keep):
    """Removes the images of earlier runs that this one did not use."""
    for path in glob.glob(os.path.join(IMAGES, "*.img")):
        if path not in keep:
            os.remove(path)
