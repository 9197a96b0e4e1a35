#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Makes the ACPI tables of a plain PC (PIIX4, as Bochs has) with a chosen number of cpus and NUMA nodes.

Writes sources for iasl and compiles them into OUTDIR: APIC.dat, SRAT.dat, SLIT.dat, FACP.dat, DSDT.dat. The FADT's
addresses of FACS and DSDT are left 0: who installs the tables fills them in. Cpus and memory are spread evenly over
the nodes, in order; RAM above 3 GiB lies above 4 GiB, where PC chipsets put it.
"""
import argparse
import os
import subprocess
import sys
import tempfile

MIB = 1 << 20
LOW_RAM_END = 3072 * MIB        # the 32-bit device hole begins here
HIGH_RAM = 1 << 32
DISTANCE_LOCAL, DISTANCE_REMOTE = 10, 21

# PIIX4 power management at the base that OVMF gives it, and PCI's reset register.
PM_BASE = 0xB000
PM1A_EVT, PM1A_CNT, PM_TMR = PM_BASE, PM_BASE + 4, PM_BASE + 8
RESET_PORT = 0xCF9
RESET_VALUE = 0x06              # bit 1: the whole platform, bit 2: now
SCI_IRQ = 9


class Source:
    """Text of an iasl data table: fields in the table's order, widths in bytes."""

    def __init__(self, signature, revision):
        self.signature = signature
        self.lines = ['[0004] Signature : "%s"' % signature, "[0004] Table Length : 00000000"]
        self.field(1, "Revision", revision)
        self.lines += ["[0001] Checksum : 00", '[0006] Oem ID : "TARN  "', '[0008] Oem Table ID : "TARNGEN "',
                       "[0004] Oem Revision : 00000001", '[0004] Asl Compiler ID : "INTL"',
                       "[0004] Asl Compiler Revision : 00000000"]

    def field(self, size, name, value):
        self.lines.append("[%04d] %s : %0*X" % (size, name, 2 * size, value))

    def flags(self, size, name, bits):
        """A flag field: iasl wants its line and then one for every bit it knows; it takes the bits."""
        self.field(size, name, 0)
        self.lines += ["%s : %X" % bit for bit in bits]

    def gas(self, name, space=1, width=0, access=0, address=0):
        self.lines.append("[0012] %s : [Generic Address Structure]" % name)
        self.field(1, "Space ID", space)
        self.field(1, "Bit Width", width)
        self.field(1, "Bit Offset", 0)
        self.field(1, "Encoded Access Width", access)
        self.field(8, "Address", address)

    def text(self):
        return "\n".join(self.lines) + "\n"


def madt(apic_ids, x2apic):
    t = Source("APIC", 4)
    t.field(4, "Local Apic Address", 0xFEE00000)
    t.flags(4, "Flags (decoded below)", [("PC-AT Compatibility", 1)])
    for uid, apic_id in enumerate(apic_ids):
        if x2apic:
            t.field(1, "Subtable Type", 9)
            t.field(1, "Length", 16)
            t.field(2, "Reserved", 0)
            t.field(4, "Processor x2Apic ID", apic_id)
            t.flags(4, "Flags (decoded below)", [("Processor Enabled", 1)])
            t.field(4, "Processor UID", uid)
        else:
            t.field(1, "Subtable Type", 0)
            t.field(1, "Length", 8)
            t.field(1, "Processor ID", uid)
            t.field(1, "Local Apic ID", apic_id)
            t.flags(4, "Flags (decoded below)", [("Processor Enabled", 1), ("Runtime Online Capable", 0)])
    t.field(1, "Subtable Type", 1)
    t.field(1, "Length", 12)
    t.field(1, "I/O Apic ID", len(apic_ids) & 0xFF)
    t.field(1, "Reserved", 0)
    t.field(4, "Address", 0xFEC00000)
    t.field(4, "Interrupt", 0)
    for irq, gsi, polarity, trigger in ((0, 2, 0, 0), (SCI_IRQ, SCI_IRQ, 1, 3)):
        t.field(1, "Subtable Type", 2)
        t.field(1, "Length", 10)
        t.field(1, "Bus", 0)
        t.field(1, "Source", irq)
        t.field(4, "Interrupt", gsi)
        t.flags(2, "Flags (decoded below)", [("Polarity", polarity), ("Trigger Mode", trigger)])
    return t.text()


def ranges(mem_mib, nodes):
    """(base, length, node) of all memory, ascending. Node 0 has the hole of 640 KiB to 1 MiB that every PC has."""
    out = []
    for node in range(nodes):
        start, end = mem_mib * node // nodes * MIB, mem_mib * (node + 1) // nodes * MIB
        low_end = min(end, LOW_RAM_END)
        if node == 0:
            out.append((0, 640 << 10, 0))
            start = MIB
        if start < low_end:
            out.append((start, low_end - start, node))
        if end > LOW_RAM_END:
            start = max(start, LOW_RAM_END)
            out.append((HIGH_RAM + start - LOW_RAM_END, end - start, node))
    return out


def srat(apic_ids, x2apic, nodes, mem_mib):
    t = Source("SRAT", 3)
    t.field(4, "Table Revision", 1)
    t.field(8, "Reserved", 0)
    for cpu, apic_id in enumerate(apic_ids):
        node = cpu * nodes // len(apic_ids)
        if x2apic:
            t.field(1, "Subtable Type", 2)
            t.field(1, "Length", 24)
            t.field(2, "Reserved1", 0)
            t.field(4, "Proximity Domain", node)
            t.field(4, "Apic ID", apic_id)
            t.flags(4, "Flags (decoded below)", [("Enabled", 1)])
            t.field(4, "Clock Domain", 0)
            t.field(4, "Reserved2", 0)
        else:
            t.field(1, "Subtable Type", 0)
            t.field(1, "Length", 16)
            t.field(1, "Proximity Domain Low(8)", node & 0xFF)
            t.field(1, "Apic ID", apic_id)
            t.flags(4, "Flags (decoded below)", [("Enabled", 1)])
            t.field(1, "Local Sapic EID", 0)
            t.field(3, "Proximity Domain High(24)", node >> 8)
            t.field(4, "Clock Domain", 0)
    for base, length, node in ranges(mem_mib, nodes):
        t.field(1, "Subtable Type", 1)
        t.field(1, "Length", 40)
        t.field(4, "Proximity Domain", node)
        t.field(2, "Reserved1", 0)
        t.field(8, "Base Address", base)
        t.field(8, "Address Length", length)
        t.field(4, "Reserved2", 0)
        t.flags(4, "Flags (decoded below)", [("Enabled", 1), ("Hot Pluggable", 0), ("Non-Volatile", 0)])
        t.field(8, "Reserved3", 0)
    return t.text()


def slit(nodes):
    t = Source("SLIT", 1)
    t.field(8, "Localities", nodes)
    for i in range(nodes):
        row = ["%02X" % (DISTANCE_LOCAL if i == j else DISTANCE_REMOTE) for j in range(nodes)]
        t.lines.append("[%04d] Locality %d : %s" % (nodes, i, " ".join(row)))
    return t.text()


def fadt():
    t = Source("FACP", 6)
    t.field(4, "FACS Address", 0)
    t.field(4, "DSDT Address", 0)
    t.field(1, "Model", 0)
    t.field(1, "PM Profile", 1)
    t.field(2, "SCI Interrupt", SCI_IRQ)
    t.field(4, "SMI Command Port", 0)
    for name in ("ACPI Enable Value", "ACPI Disable Value", "S4BIOS Command", "P-State Control"):
        t.field(1, name, 0)
    for name, port in (("PM1A Event Block Address", PM1A_EVT), ("PM1B Event Block Address", 0),
                       ("PM1A Control Block Address", PM1A_CNT), ("PM1B Control Block Address", 0),
                       ("PM2 Control Block Address", 0), ("PM Timer Block Address", PM_TMR),
                       ("GPE0 Block Address", 0), ("GPE1 Block Address", 0)):
        t.field(4, name, port)
    for name, value in (("PM1 Event Block Length", 4), ("PM1 Control Block Length", 2),
                        ("PM2 Control Block Length", 0), ("PM Timer Block Length", 4), ("GPE0 Block Length", 0),
                        ("GPE1 Block Length", 0), ("GPE1 Base Offset", 0), ("_CST Support", 0)):
        t.field(1, name, value)
    # Latencies over 100 and 1000 us say that there is no C2 and no C3.
    for name, value in (("C2 Latency", 0xFFF), ("C3 Latency", 0xFFF), ("CPU Cache Size", 0),
                        ("Cache Flush Stride", 0)):
        t.field(2, name, value)
    for name, value in (("Duty Cycle Offset", 0), ("Duty Cycle Width", 0), ("RTC Day Alarm Index", 0),
                        ("RTC Month Alarm Index", 0), ("RTC Century Index", 0x32)):
        t.field(1, name, value)
    t.flags(2, "Boot Flags (decoded below)", [
        ("Legacy Devices Supported (V2)", 1), ("8042 Present on ports 60/64 (V2)", 1), ("VGA Not Present (V4)", 0),
        ("MSI Not Supported (V4)", 0), ("PCIe ASPM Not Supported (V4)", 0), ("CMOS RTC Not Present (V5)", 0)])
    t.field(1, "Reserved", 0)
    t.flags(4, "Flags (decoded below)", [
        ("WBINVD instruction is operational (V1)", 1), ("WBINVD flushes all caches (V1)", 0),
        ("All CPUs support C1 (V1)", 1), ("C2 works on MP system (V1)", 0), ("Control Method Power Button (V1)", 1),
        ("Control Method Sleep Button (V1)", 1), ("RTC wake not in fixed reg space (V1)", 0),
        ("RTC can wake system from S4 (V1)", 0), ("32-bit PM Timer (V1)", 0), ("Docking Supported (V1)", 0),
        ("Reset Register Supported (V2)", 1), ("Sealed Case (V3)", 0), ("Headless - No Video (V3)", 0),
        ("Use native instr after SLP_TYPx (V3)", 0), ("PCIEXP_WAK Bits Supported (V4)", 0),
        ("Use Platform Timer (V4)", 0), ("RTC_STS valid on S4 wake (V4)", 0), ("Remote Power-on capable (V4)", 0),
        ("Use APIC Cluster Model (V4)", 0), ("Use APIC Physical Destination Mode (V4)", 0),
        ("Hardware Reduced (V5)", 0), ("Low Power S0 Idle (V5)", 0)])
    t.gas("Reset Register", width=8, access=1, address=RESET_PORT)
    t.field(1, "Value to cause reset", RESET_VALUE)
    t.flags(2, "ARM Flags (decoded below)", [("PSCI Compliant", 0), ("Must use HVC for PSCI", 0)])
    t.field(1, "FADT Minor Revision", 1)
    t.field(8, "FACS Address", 0)
    t.field(8, "DSDT Address", 0)
    t.gas("PM1A Event Block", width=32, access=2, address=PM1A_EVT)
    t.gas("PM1B Event Block")
    t.gas("PM1A Control Block", width=16, access=2, address=PM1A_CNT)
    t.gas("PM1B Control Block")
    t.gas("PM2 Control Block")
    t.gas("PM Timer Block", width=32, access=3, address=PM_TMR)
    for name in ("GPE0 Block", "GPE1 Block", "Sleep Control Register", "Sleep Status Register"):
        t.gas(name)
    t.field(8, "Hypervisor ID", 0)
    return t.text()


DSDT = """DefinitionBlock ("", "DSDT", 2, "TARN", "TARNGEN", 1)
{
    Name (\\_S5, Package () { 0, 0, 0, 0 })
}
"""


def compile_table(name, text, outdir, work):
    with open(os.path.join(work, name + ".asl"), "w") as f:
        f.write(text)
    try:
        done = subprocess.run(["iasl", "-p", name, name + ".asl"], cwd=work, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=60)
    except FileNotFoundError:
        sys.exit("acpi-gen: iasl not found, expected it from the package acpica-tools")
    compiled = os.path.join(work, name + ".aml")
    if done.returncode != 0 or not os.path.exists(compiled):
        sys.exit("acpi-gen: iasl does not take %s:\n%s" % (name, done.stdout.decode(errors="replace")))
    with open(compiled, "rb") as f:
        table = f.read()
    # Whole or not at all: a table of an interrupted run must not be picked up later.
    part = os.path.join(outdir, name + ".part")
    with open(part, "wb") as f:
        f.write(table)
    os.replace(part, os.path.join(outdir, name + ".dat"))


def id_list(text):
    out = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        out += range(int(first, 0), int(last or first, 0) + 1)
    return out


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("cpus", type=int, metavar="CPUS")
    p.add_argument("nodes", type=int, metavar="NODES")
    p.add_argument("mem_mib", type=int, metavar="MEM", help="MiB of RAM")
    p.add_argument("outdir", metavar="OUTDIR")
    p.add_argument("--apic-ids", type=id_list, metavar="LIST", help="ids of the cpus in order, as 0-3,8 (0 to CPUS-1)")
    p.add_argument("--x2apic", action="store_true", help="x2APIC entries (type 9) instead of local APIC ones")
    a = p.parse_args()
    ids = a.apic_ids if a.apic_ids is not None else list(range(a.cpus))
    if a.cpus < 1 or a.nodes < 1:
        p.error("CPUS %d and NODES %d found, expected 1 or more of each" % (a.cpus, a.nodes))
    if len(ids) != a.cpus or len(set(ids)) != len(ids):
        p.error("--apic-ids names %d ids, expected %d different ones" % (len(set(ids)), a.cpus))
    if max(ids) > 254 and not a.x2apic:
        p.error("APIC id %d found, expected at most 254 without --x2apic" % max(ids))
    if a.mem_mib // a.nodes < 2:
        p.error("MEM %d found, expected 2 MiB a node or more" % a.mem_mib)
    os.makedirs(a.outdir, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        for name, text in (("APIC", madt(ids, a.x2apic)), ("SRAT", srat(ids, a.x2apic, a.nodes, a.mem_mib)),
                           ("SLIT", slit(a.nodes)), ("FACP", fadt()), ("DSDT", DSDT)):
            compile_table(name, text, a.outdir, work)


if __name__ == "__main__":
    main()
