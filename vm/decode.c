/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instruction decoder for device memory. One table row an opcode: operation and operand form. SDM volume 2, chapter 2
 * (formats) and appendix A (opcode maps).
 */
#include "vm/decode.h"

#include "kernel/lib/reader.h"
#include "kernel/lib/util.h"

/* Operand forms, named as the opcode map does: E = ModRM memory, G = ModRM register, I = immediate. */
enum form {
	FORM_NONE,
	FORM_E_G,	/* memory <- register */
	FORM_G_E,	/* register <- memory */
	FORM_E_IB,	/* memory <- 8-bit immediate, sign-extended */
	FORM_E_IZ,	/* memory <- immediate of operand size, at most 32 bits, sign-extended */
	FORM_E,		/* memory alone */
	FORM_A_O,	/* accumulator <- memory at an address in the instruction */
	FORM_O_A,
	FORM_STRING,
};

/* What is special about a row. */
#define ROW_BYTE	(1u << 0)	/* operand size is 1 */
#define ROW_LOCK	(1u << 1)	/* LOCK allowed (memory destination) */
#define ROW_WORD	(1u << 2)	/* MOVZX, MOVSX of a 16-bit source */
#define ROW_GROUP	(1u << 3)	/* the operation depends on ModRM bits 3..5: see group() */
#define ROW_NO66	(1u << 4)	/* a 66 prefix makes it something else */
#define ROW_LONG	(1u << 5)	/* MOVSXD: a source of at most 32 bits; another instruction outside 64-bit code */

struct row {
	uint8_t form, op, flags;
};

#define ALU_ROWS(base, op, lock) \
	[(base) + 0] = { FORM_E_G, op, ROW_BYTE | (lock) }, [(base) + 1] = { FORM_E_G, op, lock }, \
	[(base) + 2] = { FORM_G_E, op, ROW_BYTE }, [(base) + 3] = { FORM_G_E, op, 0 }

static const struct row one_byte[256] = {
	ALU_ROWS(0x00, DECODE_ADD, ROW_LOCK),
	ALU_ROWS(0x08, DECODE_OR, ROW_LOCK),
	ALU_ROWS(0x10, DECODE_ADC, ROW_LOCK),
	ALU_ROWS(0x18, DECODE_SBB, ROW_LOCK),
	ALU_ROWS(0x20, DECODE_AND, ROW_LOCK),
	ALU_ROWS(0x28, DECODE_SUB, ROW_LOCK),
	ALU_ROWS(0x30, DECODE_XOR, ROW_LOCK),
	ALU_ROWS(0x38, DECODE_CMP, 0),
	[0x63] = { FORM_G_E, DECODE_MOVSX, ROW_LONG },
	[0x80] = { FORM_E_IB, DECODE_ADD, ROW_GROUP | ROW_BYTE | ROW_LOCK },
	[0x81] = { FORM_E_IZ, DECODE_ADD, ROW_GROUP | ROW_LOCK },
	[0x83] = { FORM_E_IB, DECODE_ADD, ROW_GROUP | ROW_LOCK },
	[0x84] = { FORM_E_G, DECODE_TEST, ROW_BYTE },
	[0x85] = { FORM_E_G, DECODE_TEST, 0 },
	[0x86] = { FORM_E_G, DECODE_XCHG, ROW_BYTE | ROW_LOCK },
	[0x87] = { FORM_E_G, DECODE_XCHG, ROW_LOCK },
	[0x88] = { FORM_E_G, DECODE_MOV, ROW_BYTE },
	[0x89] = { FORM_E_G, DECODE_MOV, 0 },
	[0x8a] = { FORM_G_E, DECODE_MOV, ROW_BYTE },
	[0x8b] = { FORM_G_E, DECODE_MOV, 0 },
	[0xa0] = { FORM_A_O, DECODE_MOV, ROW_BYTE },
	[0xa1] = { FORM_A_O, DECODE_MOV, 0 },
	[0xa2] = { FORM_O_A, DECODE_MOV, ROW_BYTE },
	[0xa3] = { FORM_O_A, DECODE_MOV, 0 },
	[0xa4] = { FORM_STRING, DECODE_MOVS, ROW_BYTE },
	[0xa5] = { FORM_STRING, DECODE_MOVS, 0 },
	[0xaa] = { FORM_STRING, DECODE_STOS, ROW_BYTE },
	[0xab] = { FORM_STRING, DECODE_STOS, 0 },
	[0xac] = { FORM_STRING, DECODE_LODS, ROW_BYTE },
	[0xad] = { FORM_STRING, DECODE_LODS, 0 },
	[0xc6] = { FORM_E_IB, DECODE_MOV, ROW_GROUP | ROW_BYTE },
	[0xc7] = { FORM_E_IZ, DECODE_MOV, ROW_GROUP },
	[0xf6] = { FORM_E, DECODE_TEST, ROW_GROUP | ROW_BYTE | ROW_LOCK },
	[0xf7] = { FORM_E, DECODE_TEST, ROW_GROUP | ROW_LOCK },
	[0xfe] = { FORM_E, DECODE_INC, ROW_GROUP | ROW_BYTE | ROW_LOCK },
	[0xff] = { FORM_E, DECODE_INC, ROW_GROUP | ROW_LOCK },
};

/* After 0F. */
static const struct row two_byte[256] = {
	[0xa3] = { FORM_E_G, DECODE_BT, 0 },
	[0xab] = { FORM_E_G, DECODE_BTS, ROW_LOCK },
	[0xb3] = { FORM_E_G, DECODE_BTR, ROW_LOCK },
	[0xbb] = { FORM_E_G, DECODE_BTC, ROW_LOCK },
	[0xba] = { FORM_E_IB, DECODE_BT, ROW_GROUP | ROW_LOCK },
	[0xb0] = { FORM_E_G, DECODE_CMPXCHG, ROW_BYTE | ROW_LOCK },
	[0xb1] = { FORM_E_G, DECODE_CMPXCHG, ROW_LOCK },
	[0xb6] = { FORM_G_E, DECODE_MOVZX, ROW_BYTE },
	[0xb7] = { FORM_G_E, DECODE_MOVZX, ROW_WORD },
	[0xbe] = { FORM_G_E, DECODE_MOVSX, ROW_BYTE },
	[0xbf] = { FORM_G_E, DECODE_MOVSX, ROW_WORD },
	[0xc0] = { FORM_E_G, DECODE_XADD, ROW_BYTE | ROW_LOCK },
	[0xc1] = { FORM_E_G, DECODE_XADD, ROW_LOCK },
	[0xc3] = { FORM_E_G, DECODE_MOV, ROW_NO66 },	/* MOVNTI */
};

#define REX_W	0x08u
#define REX_R	0x04u
#define REX_X	0x02u
#define REX_B	0x01u

struct prefixes {
	bool operand, address, lock, repne, rep, has_seg, has_rex;
	enum decode_seg seg;
	uint8_t rex;
};

const char *decode_words(enum decode_op op)
{
	static const char *const words[] = {
#define DECODE_OP_WORDS(name, w) [DECODE_##name] = w,
		DECODE_OP_TABLE(DECODE_OP_WORDS)
#undef DECODE_OP_WORDS
	};

	return (unsigned)op < ARRAY_SIZE(words) ? words[op] : "?";
}

/* Takes one legacy prefix; false when byte is none. */
static bool take_prefix(struct prefixes *p, uint8_t byte)
{
	switch (byte) {
	case 0x26: p->seg = DECODE_ES; p->has_seg = true; return true;
	case 0x2e: p->seg = DECODE_CS; p->has_seg = true; return true;
	case 0x36: p->seg = DECODE_SS; p->has_seg = true; return true;
	case 0x3e: p->seg = DECODE_DS; p->has_seg = true; return true;
	case 0x64: p->seg = DECODE_FS; p->has_seg = true; return true;
	case 0x65: p->seg = DECODE_GS; p->has_seg = true; return true;
	case 0x66: p->operand = true; return true;
	case 0x67: p->address = true; return true;
	case 0xf0: p->lock = true; return true;
	case 0xf2: p->repne = true; p->rep = false; return true;	/* of F2 and F3 the last counts */
	case 0xf3: p->rep = true; p->repne = false; return true;
	default: return false;
	}
}

/* Reads prefixes and returns the first opcode byte. REX counts only right before the opcode. */
static uint8_t take_prefixes(struct reader *r, unsigned code_bits, struct prefixes *p)
{
	uint8_t byte = reader_u8(r);

	while (!r->overrun) {
		if (code_bits == 64 && (byte & 0xf0) == 0x40) {
			p->rex = byte & 0x0f;
			p->has_rex = true;
		} else if (take_prefix(p, byte)) {
			p->rex = 0;
			p->has_rex = false;
		} else {
			break;
		}
		byte = reader_u8(r);
	}
	return byte;
}

static int64_t take_signed(struct reader *r, unsigned width)
{
	uint64_t v = reader_take(r, width);
	unsigned unused = 64 - 8 * width;

	return (int64_t)(v << unused) >> unused;
}

/* 16-bit addressing forms (SDM volume 2, table 2-1). */
static void modrm16(struct reader *r, uint8_t mod, uint8_t rm, struct decode *d)
{
	static const uint8_t base[8] = { VIRT_RBX, VIRT_RBX, VIRT_RBP, VIRT_RBP, VIRT_RSI, VIRT_RDI, VIRT_RBP, VIRT_RBX };
	static const uint8_t index[8] = {
		VIRT_RSI, VIRT_RDI, VIRT_RSI, VIRT_RDI, DECODE_REG_NONE, DECODE_REG_NONE, DECODE_REG_NONE, DECODE_REG_NONE
	};

	if (mod == 0 && rm == 6) {
		d->disp = take_signed(r, 2);
		return;
	}
	d->base = base[rm];
	d->index = index[rm];
	if (mod != 0) {
		d->disp = take_signed(r, mod);
	}
	if (d->base == VIRT_RBP) {
		d->seg = DECODE_SS;
	}
}

/* 32- and 64-bit addressing forms (tables 2-2 and 2-3). */
static void modrm32(struct reader *r, uint8_t mod, uint8_t rm, unsigned code_bits, const struct prefixes *p,
		    struct decode *d)
{
	uint8_t base = rm;

	if (rm == 4) {
		uint8_t sib = reader_u8(r);
		uint8_t index = (uint8_t)((sib >> 3 & 7) | ((p->rex & REX_X) != 0 ? 8 : 0));

		base = sib & 7;
		if (index != VIRT_RSP) {
			d->index = index;
			d->scale = sib >> 6;
		}
	}
	if (mod == 0 && base == 5) {
		/* No base; without a SIB byte in 64-bit code relative to the next instruction. */
		d->base = rm == 5 && code_bits == 64 ? DECODE_BASE_RIP : DECODE_REG_NONE;
		d->disp = take_signed(r, 4);
		return;
	}
	d->base = (uint8_t)(base | ((p->rex & REX_B) != 0 ? 8 : 0));
	if (d->base == VIRT_RSP || d->base == VIRT_RBP) {
		d->seg = DECODE_SS;
	}
	if (mod != 0) {
		d->disp = take_signed(r, mod == 1 ? 1 : 4);
	}
}

/* The operation that ModRM bits 3..5 choose for a group's opcode; false when it is not one of ours. */
static bool group(uint8_t opcode, bool two, uint8_t which, enum form *form, enum decode_op *op)
{
	if (two) {					/* group 8: BT, BTS, BTR, BTC */
		*op = (enum decode_op)(DECODE_BT + (which & 3));
		return which >= 4;
	}
	switch (opcode) {
	case 0x80: case 0x81: case 0x83:		/* group 1 */
		*op = (enum decode_op)(DECODE_ADD + which);
		return true;
	case 0xc6: case 0xc7:				/* group 11 */
		return which == 0;
	case 0xf6: case 0xf7:				/* group 3: TEST (twice), NOT, NEG; then multiplications */
		if (which <= 1) {
			*form = opcode == 0xf6 ? FORM_E_IB : FORM_E_IZ;
			return true;
		}
		*op = which == 2 ? DECODE_NOT : DECODE_NEG;
		return which <= 3;
	default:					/* groups 4 and 5 */
		*op = which == 0 ? DECODE_INC : DECODE_DEC;
		return which <= 1;
	}
}

/* ModRM and what follows it; the immediate last. */
static enum err take_modrm(struct reader *r, uint8_t opcode, bool two, const struct row *row, unsigned code_bits,
			   const struct prefixes *p, struct decode *d)
{
	uint8_t modrm = reader_u8(r), mod = modrm >> 6, reg = modrm >> 3 & 7;
	enum form form = row->form;

	if (mod == 3 || ((row->flags & ROW_GROUP) != 0 && !group(opcode, two, reg, &form, &d->op))) {
		return ERR_NOTSUP;
	}
	if (d->addr_size == 2) {
		modrm16(r, mod, modrm & 7, d);
	} else {
		modrm32(r, mod, modrm & 7, code_bits, p, d);
	}
	if (form == FORM_E_G || form == FORM_G_E) {
		d->reg = (uint8_t)(reg | ((p->rex & REX_R) != 0 ? 8 : 0));
		d->reg_high = d->reg_size == 1 && !p->has_rex && reg >= 4;
		d->reg = d->reg_high ? d->reg & 3 : d->reg;
	}
	if (form == FORM_E_IB || form == FORM_E_IZ) {
		d->has_imm = true;
		d->imm = take_signed(r, form == FORM_E_IB ? 1 : MIN(d->size, 4u));
	}
	d->to_memory = form != FORM_G_E;
	return ERR_OK;
}

static void take_implied(struct reader *r, const struct row *row, struct decode *d)
{
	d->reg = VIRT_RAX;
	if (row->form == FORM_STRING) {
		d->to_memory = row->op != DECODE_LODS;
		d->base = row->op == DECODE_STOS ? VIRT_RDI : VIRT_RSI;
		d->seg = row->op == DECODE_STOS ? DECODE_ES : d->seg;
		return;
	}
	d->to_memory = row->form == FORM_O_A;
	d->disp = (int64_t)reader_take(r, d->addr_size);
}

/* Operand and address sizes from the mode and the prefixes (SDM volume 1, 3.6). */
static void sizes(unsigned code_bits, const struct prefixes *p, const struct row *row, struct decode *d)
{
	uint8_t operand = (code_bits == 16) != p->operand ? 2 : 4;

	if ((p->rex & REX_W) != 0) {
		operand = 8;
	}
	if (code_bits == 64) {
		d->addr_size = p->address ? 4 : 8;
	} else {
		d->addr_size = (code_bits == 16) != p->address ? 2 : 4;
	}
	d->size = (row->flags & ROW_BYTE) != 0 ? 1 : (row->flags & ROW_WORD) != 0 ? 2 :
		  (row->flags & ROW_LONG) != 0 ? MIN(operand, 4) : operand;
	d->reg_size = row->op == DECODE_MOVZX || row->op == DECODE_MOVSX ? operand : d->size;
}

/* LOCK needs an operation that writes memory (#UD otherwise). */
static bool lock_ok(const struct row *row, const struct decode *d)
{
	return (row->flags & ROW_LOCK) != 0 && d->to_memory && d->op != DECODE_CMP && d->op != DECODE_TEST &&
	       d->op != DECODE_BT;
}

enum err decode_insn(const void *bytes, size_t len, unsigned code_bits, struct decode *out)
{
	struct reader r = reader_make(bytes, MIN(len, DECODE_BYTES_MAX));
	struct prefixes p = { 0 };
	struct decode d = { .reg = DECODE_REG_NONE, .base = DECODE_REG_NONE, .index = DECODE_REG_NONE, .seg = DECODE_DS };
	uint8_t opcode = take_prefixes(&r, code_bits, &p);
	bool two = opcode == 0x0f;
	const struct row *row;
	enum err e = ERR_OK;

	if (two) {
		opcode = reader_u8(&r);
	}
	row = two ? &two_byte[opcode] : &one_byte[opcode];
	if (!r.overrun && (row->form == FORM_NONE || ((row->flags & ROW_LONG) != 0 && code_bits != 64) ||
			   ((row->flags & ROW_NO66) != 0 && (p.operand || p.rep || p.repne)))) {
		return ERR_NOTSUP;
	}
	d.op = (enum decode_op)row->op;
	sizes(code_bits, &p, row, &d);
	if (row->form >= FORM_A_O) {
		take_implied(&r, row, &d);
	} else {
		e = take_modrm(&r, opcode, two, row, code_bits, &p, &d);
	}
	if (r.overrun) {
		return len < DECODE_BYTES_MAX ? ERR_TRUNCATED : ERR_FORMAT;
	}
	if (e != ERR_OK) {
		return e;
	}
	if (p.has_seg && !(row->form == FORM_STRING && row->op == DECODE_STOS)) {
		d.seg = p.seg;
	}
	if (p.lock && !lock_ok(row, &d)) {
		return ERR_FORMAT;
	}
	d.lock = p.lock;
	d.rep = row->form == FORM_STRING && (p.rep || p.repne);
	d.length = (uint8_t)r.at;
	*out = d;
	return ERR_OK;
}
