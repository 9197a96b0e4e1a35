#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Makes a bootable disk image: GPT with one FAT32 EFI system partition. Needs sgdisk and mtools, no root.

  image.py OUT --tarn BOOTX64.EFI [--front FRONT.EFI] [--manifest F] [--file F]... [--acpi DIR [--replace --base DIR]]

Without --front, Tarn itself is \\EFI\\BOOT\\BOOTX64.EFI. With it, the front program is, Tarn is \\EFI\\tarn\\TARN.EFI, and
  \\tarn\\acpi\\*.dat       tables of --acpi
  \\tarn\\acpi\\REPLACE     (--replace) they win over the firmware's; else they serve only where the firmware has none
  \\tarn\\acpi\\base\\*.dat  tables of --base: what \\tarn\\acpi lacks where the firmware has none (FACP, DSDT)
"""
import argparse
import os
import subprocess
import sys
import tempfile

SECTOR = 512
START = 2048				# first sector of the partition: 1 MiB, as tools expect it
MIN_BYTES = 64 << 20
# Fixed, so that the same contents give the same image.
DISK_GUID = "5441524e-0000-4000-8000-000000000001"
PART_GUID = "5441524e-0000-4000-8000-000000000002"


def fail(text):
    sys.exit(f"image: {text}")


def table_files(folder):
    if not os.path.isdir(folder):
        fail(f"{folder}: no such folder")
    found = sorted(f for f in os.listdir(folder) if f.lower().endswith(".dat"))
    if not found:
        fail(f"{folder}: holds no *.dat")
    return [os.path.join(folder, f) for f in found]


def contents(args):
    """[(source file, path on the partition)], and the folders they need."""
    files = []
    if args.front:
        files += [(args.front, "EFI/BOOT/BOOTX64.EFI"), (args.tarn, "EFI/tarn/TARN.EFI")]
    else:
        files += [(args.tarn, "EFI/BOOT/BOOTX64.EFI")]
    if args.manifest:
        files += [(args.manifest, "tarn/tarn.conf")]
    for name in args.file:
        files += [(name, "tarn/" + os.path.basename(name))]
    if args.acpi:
        files += [(f, "tarn/acpi/" + os.path.basename(f)) for f in table_files(args.acpi)]
    if args.base:
        files += [(f, "tarn/acpi/base/" + os.path.basename(f)) for f in table_files(args.base)]
    if args.replace:
        files += [("/dev/null", "tarn/acpi/REPLACE")]
    seen = {}
    for source, path in files:
        if not os.path.exists(source):
            fail(f"{source}: no such file")
        if seen.setdefault(path.lower(), source) != source:
            fail(f"{source} and {seen[path.lower()]} are both to be {path}")
    folders = {"tarn"}
    for _, path in files:
        while path := os.path.dirname(path):
            folders.add(path)
    return files, sorted(folders)


def cluster_sectors(sectors):
    """The largest cluster that leaves a FAT32 its 65525 clusters, 32 KiB at most."""
    size = 64
    while size > 1 and (sectors - 64) // size < 65525 * 17 // 16:
        size //= 2
    return size


def run(*command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        fail(f"{' '.join(command[:3])} ... failed: {(done.stderr or done.stdout).strip()}")


def build(out, files, folders):
    payload = sum((os.path.getsize(source) + 65535) // 65536 * 65536 for source, _ in files)
    size = max(MIN_BYTES, (payload * 9 // 8 + (8 << 20)) >> 20 << 20)
    total = size // SECTOR
    last = total - 34			# GPT keeps a copy of itself in the last 33 sectors
    sectors = last - START + 1
    with open(out, "wb") as f:
        f.truncate(size)
    run("sgdisk", "--clear", f"--new=1:{START}:{last}", "--typecode=1:ef00", "--change-name=1:tarn",
        f"--disk-guid={DISK_GUID}", f"--partition-guid=1:{PART_GUID}", out)
    part = f"{out}@@{START * SECTOR}"
    run("mformat", "-i", part, "-F", "-T", str(sectors), "-h", "64", "-s", "32", "-H", str(START),
        "-c", str(cluster_sectors(sectors)), "-N", "5441524e", "-v", "TARN", "::")
    run("mmd", "-i", part, *("::/" + f for f in folders))
    for source, path in files:
        run("mcopy", "-i", part, "-o", source, "::/" + path)


def main():
    parser = argparse.ArgumentParser(description="makes a bootable Tarn image")
    parser.add_argument("out")
    parser.add_argument("--tarn", required=True)
    parser.add_argument("--front")
    parser.add_argument("--manifest")
    parser.add_argument("--file", action="append", default=[])
    parser.add_argument("--acpi")
    parser.add_argument("--base")
    parser.add_argument("--replace", action="store_true")
    args = parser.parse_args()
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    os.environ["MTOOLS_SKIP_CHECK"] = "1"
    files, folders = contents(args)
    # Beside the target, then renamed: an interrupted build leaves no half image.
    with tempfile.TemporaryDirectory(dir=os.path.dirname(os.path.abspath(args.out))) as tmp:
        image = os.path.join(tmp, "image")
        build(image, files, folders)
        os.replace(image, args.out)


if __name__ == "__main__":
    main()
