/* SPDX-License-Identifier: BSD-2-Clause */
/* Does what a decoded instruction does, through callbacks for device memory (SDM volume 2, operation sections). */
#include "vm/emulate.h"

#include "vm/gwalk.h"

#define FLAG_CF		(1ul << 0)
#define FLAG_PF		(1ul << 2)
#define FLAG_AF		(1ul << 4)
#define FLAG_ZF		(1ul << 6)
#define FLAG_SF		(1ul << 7)
#define FLAG_TF		(1ul << 8)
#define FLAG_DF		(1ul << 10)
#define FLAG_OF		(1ul << 11)
#define FLAGS_ARITH	(FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

/* The low bytes of v. */
static uint64_t cut(uint64_t v, unsigned bytes)
{
	return bytes >= 8 ? v : v & ((1ul << (8 * bytes)) - 1);
}

static uint64_t extend(uint64_t v, unsigned bytes)
{
	unsigned unused = 64 - 8 * bytes;

	return (uint64_t)((int64_t)(v << unused) >> unused);
}

/* --- Registers. */

static uint64_t reg_get(const struct emulate *e, unsigned reg, unsigned bytes, bool high)
{
	uint64_t v = reg == VIRT_RSP ? e->state->rsp : e->gpr[reg];

	return cut(high ? v >> 8 : v, bytes);
}

/* 32-bit writes clear the upper half, 8- and 16-bit ones keep the rest (SDM volume 1, 3.4.1.1). */
static void reg_set(struct emulate *e, unsigned reg, unsigned bytes, bool high, uint64_t v)
{
	uint64_t *r = &e->gpr[reg];

	if (high) {
		*r = (*r & ~0xff00ul) | cut(v, 1) << 8;
	} else if (bytes >= 4) {
		*r = cut(v, bytes);
	} else {
		*r = (*r & ~cut(~0ul, bytes)) | cut(v, bytes);
	}
}

/* --- Memory operands. */

static uint64_t seg_base(const struct virt_state *s, enum decode_seg seg)
{
	if (s->code_bits == 64 && seg != DECODE_FS && seg != DECODE_GS) {
		return 0;
	}
	switch (seg) {
	case DECODE_ES: return s->es_base;
	case DECODE_CS: return s->cs_base;
	case DECODE_SS: return s->ss_base;
	case DECODE_FS: return s->fs_base;
	case DECODE_GS: return s->gs_base;
	default: return s->ds_base;
	}
}

static uint64_t linear_of(const struct emulate *e, enum decode_seg seg, uint64_t offset)
{
	return cut(seg_base(e->state, seg) + offset, e->state->code_bits == 64 ? 8 : 4);
}

static uint64_t effective_address(const struct emulate *e, const struct decode *d)
{
	uint64_t at = (uint64_t)d->disp;

	if (d->base == DECODE_BASE_RIP) {
		at += e->state->rip + d->length;
	} else if (d->base != DECODE_REG_NONE) {
		at += reg_get(e, d->base, 8, false);
	}
	if (d->index != DECODE_REG_NONE) {
		at += reg_get(e, d->index, 8, false) << d->scale;
	}
	/* BT and its kin with a register: the bit may lie in another element, before or after (BT, SDM volume 2). */
	if (d->op >= DECODE_BT && d->op <= DECODE_BTC && !d->has_imm) {
		int64_t bit = (int64_t)extend(reg_get(e, d->reg, d->reg_size, false), d->reg_size);
		int64_t element = bit >> (d->size == 8 ? 6 : d->size == 4 ? 5 : 4);

		at += (uint64_t)element * d->size;
	}
	return cut(at, d->addr_size);
}

static bool crosses_page(uint64_t linear, unsigned bytes)
{
	return (linear & PAGE_MASK) + bytes > PAGE_SIZE;
}

static enum err access_physical(struct emulate *e, gpa_t at, unsigned bytes, bool write, uint64_t *value)
{
	if (gmem_contains(e->mem, at, bytes)) {
		bool done;

		if (write) {
			done = gmem_write(e->mem, at, value, bytes);
		} else {
			*value = 0;
			done = gmem_read(e->mem, at, value, bytes);
		}
		return done ? ERR_OK : ERR_RANGE;
	}
	return write ? e->mmio_write(e->ctx, at, bytes, *value) : e->mmio_read(e->ctx, at, bytes, value);
}

static enum err translate(struct emulate *e, uint64_t linear, bool write, gpa_t *at)
{
	struct gwalk w;
	enum err err = gwalk_translate(e->mem, e->state, linear, write ? GWALK_WRITE : GWALK_READ, &w);

	if (err == ERR_NOENT) {
		e->fault_linear = linear;
		e->fault_code = w.fault;
	}
	*at = w.at;
	return err;
}

/* An access by linear address: RAM or device, byte by byte where it crosses a page. */
static enum err access_linear(struct emulate *e, uint64_t linear, unsigned bytes, bool write, uint64_t *value)
{
	unsigned step = crosses_page(linear, bytes) ? 1 : bytes;
	uint64_t got = 0;

	for (unsigned i = 0; i < bytes; i += step) {
		uint64_t piece = write ? cut(*value >> (8 * i), step) : 0;
		gpa_t at;
		enum err err = translate(e, linear + i, write, &at);

		if (err == ERR_OK) {
			err = access_physical(e, at, step, write, &piece);
		}
		if (err != ERR_OK) {
			return err;
		}
		got |= cut(piece, step) << (8 * i);
	}
	if (!write) {
		*value = got;
	}
	return ERR_OK;
}

/* The memory operand of a decoded instruction: at the exit's address, unless that is only part of it. */
struct operand {
	uint64_t linear;
	gpa_t at;
	bool direct;
	unsigned bytes;
};

static enum err operand_read(struct emulate *e, const struct operand *o, uint64_t *value)
{
	enum err err = o->direct ? e->mmio_read(e->ctx, o->at, o->bytes, value) :
		       access_linear(e, o->linear, o->bytes, false, value);

	*value = cut(*value, o->bytes);
	return err;
}

static enum err operand_write(struct emulate *e, const struct operand *o, uint64_t value)
{
	value = cut(value, o->bytes);
	return o->direct ? e->mmio_write(e->ctx, o->at, o->bytes, value) :
	       access_linear(e, o->linear, o->bytes, true, &value);
}

/* --- Arithmetic. */

static uint64_t result_flags(uint64_t r, unsigned bytes)
{
	uint64_t flags = (__builtin_popcountl(r & 0xff) & 1) == 0 ? FLAG_PF : 0;

	flags |= r == 0 ? FLAG_ZF : 0;
	flags |= (r >> (8 * bytes - 1) & 1) != 0 ? FLAG_SF : 0;
	return flags;
}

/* a op b for ADD .. CMP, NEG (as 0 - a) and TEST; sets all arithmetic flags. */
static uint64_t alu(enum decode_op op, uint64_t a, uint64_t b, unsigned bytes, uint64_t *rflags)
{
	uint64_t carry_in = (op == DECODE_ADC || op == DECODE_SBB) && (*rflags & FLAG_CF) != 0;
	unsigned top = 8 * bytes - 1;
	uint64_t r, carries = 0, overflow = 0, flags;

	switch (op) {
	case DECODE_ADD: case DECODE_ADC: case DECODE_XADD: case DECODE_INC:
		r = cut(a + b + carry_in, bytes);
		carries = (a & b) | ((a | b) & ~r);
		overflow = (a ^ r) & (b ^ r);
		break;
	case DECODE_OR:
		r = a | b;
		break;
	case DECODE_AND: case DECODE_TEST:
		r = a & b;
		break;
	case DECODE_XOR:
		r = a ^ b;
		break;
	default:	/* SUB, SBB, CMP, CMPXCHG, NEG, DEC */
		r = cut(a - b - carry_in, bytes);
		carries = (~a & b) | ((~a | b) & r);
		overflow = (a ^ b) & (a ^ r);
		break;
	}
	flags = result_flags(r, bytes);
	flags |= (carries >> top & 1) != 0 ? FLAG_CF : 0;
	flags |= (overflow >> top & 1) != 0 ? FLAG_OF : 0;
	flags |= (carries >> 3 & 1) != 0 ? FLAG_AF : 0;
	*rflags = (*rflags & ~FLAGS_ARITH) | flags;
	return r;
}

/* Operations on memory alone. */
static uint64_t unary(struct emulate *e, const struct decode *d, uint64_t m)
{
	uint64_t carry = e->rflags & FLAG_CF, r;

	if (d->op == DECODE_NOT) {
		return cut(~m, d->size);
	}
	if (d->op == DECODE_NEG) {
		return alu(DECODE_SUB, 0, m, d->size, &e->rflags);
	}
	r = alu(d->op, m, 1, d->size, &e->rflags);
	e->rflags = (e->rflags & ~FLAG_CF) | carry;	/* INC and DEC leave the carry alone */
	return r;
}

static uint64_t bit_op(struct emulate *e, const struct decode *d, uint64_t m, uint64_t which)
{
	uint64_t bit = 1ul << (which & (8ul * d->size - 1));

	e->rflags = (e->rflags & ~FLAG_CF) | ((m & bit) != 0 ? FLAG_CF : 0);
	switch (d->op) {
	case DECODE_BTS: return m | bit;
	case DECODE_BTR: return m & ~bit;
	case DECODE_BTC: return m ^ bit;
	default: return m;
	}
}

/* --- Instructions. */

static enum err do_move(struct emulate *e, const struct decode *d, const struct operand *o, uint64_t other)
{
	uint64_t m = 0;
	enum err err;

	if (d->to_memory) {
		return operand_write(e, o, other);
	}
	err = operand_read(e, o, &m);
	if (err != ERR_OK) {
		return err;
	}
	if (d->op == DECODE_MOVSX) {
		m = extend(m, d->size);
	}
	reg_set(e, d->reg, d->reg_size, d->reg_high, m);
	return ERR_OK;
}

/* Compare accumulator and memory; equal: memory gets the register, else the accumulator gets memory. */
static enum err do_cmpxchg(struct emulate *e, const struct decode *d, const struct operand *o, uint64_t m,
			   uint64_t other)
{
	uint64_t acc = reg_get(e, VIRT_RAX, d->size, false), rflags = e->rflags;
	enum err err;

	alu(DECODE_CMP, acc, m, d->size, &rflags);
	/* Memory sees a write either way (CMPXCHG, SDM volume 2). */
	err = operand_write(e, o, acc == m ? other : m);
	if (err != ERR_OK) {
		return err;
	}
	e->rflags = rflags;
	if (acc != m) {
		reg_set(e, VIRT_RAX, d->size, false, m);
	}
	return ERR_OK;
}

/* Memory and register trade places; XADD leaves the sum in memory. */
static enum err do_exchange(struct emulate *e, const struct decode *d, const struct operand *o, uint64_t m,
			    uint64_t other)
{
	uint64_t rflags = e->rflags;
	uint64_t r = d->op == DECODE_XADD ? alu(DECODE_ADD, m, other, d->size, &rflags) : other;
	enum err err = operand_write(e, o, r);

	if (err != ERR_OK) {
		return err;
	}
	e->rflags = rflags;
	reg_set(e, d->reg, d->size, d->reg_high, m);
	return ERR_OK;
}

static enum err do_binary(struct emulate *e, const struct decode *d, const struct operand *o, uint64_t m,
			  uint64_t other)
{
	uint64_t rflags = e->rflags, r;
	enum err err = ERR_OK;

	if (d->op >= DECODE_BT && d->op <= DECODE_BTC) {
		r = bit_op(e, d, m, other);
	} else if (d->op >= DECODE_NOT && d->op <= DECODE_DEC) {
		r = unary(e, d, m);
	} else {
		r = d->to_memory ? alu(d->op, m, other, d->size, &e->rflags) : alu(d->op, other, m, d->size, &e->rflags);
	}
	if (d->op == DECODE_CMP || d->op == DECODE_TEST || d->op == DECODE_BT) {
		return ERR_OK;
	}
	if (d->to_memory) {
		err = operand_write(e, o, r);
	} else {
		reg_set(e, d->reg, d->size, d->reg_high, r);
	}
	if (err != ERR_OK) {
		e->rflags = rflags;
	}
	return err;
}

/* --- String instructions. */

static void advance(struct emulate *e, const struct decode *d, unsigned reg)
{
	uint64_t step = (e->rflags & FLAG_DF) != 0 ? -(uint64_t)d->size : d->size;

	reg_set(e, reg, d->addr_size, false, reg_get(e, reg, d->addr_size, false) + step);
}

static enum err string_element(struct emulate *e, const struct decode *d)
{
	uint64_t from = linear_of(e, d->seg, reg_get(e, VIRT_RSI, d->addr_size, false));
	uint64_t to = linear_of(e, DECODE_ES, reg_get(e, VIRT_RDI, d->addr_size, false));
	uint64_t value = reg_get(e, VIRT_RAX, d->size, false);
	enum err err = ERR_OK;
	gpa_t at;

	if (d->op == DECODE_MOVS) {
		/* A fault at the destination must come before the source is read: that may be a device's register. */
		err = translate(e, to, true, &at);
		if (err == ERR_OK && crosses_page(to, d->size)) {
			err = translate(e, to + d->size - 1, true, &at);
		}
	}
	if (err == ERR_OK && d->op != DECODE_STOS) {
		err = access_linear(e, from, d->size, false, &value);
	}
	if (err == ERR_OK && d->op != DECODE_LODS) {
		err = access_linear(e, to, d->size, true, &value);
	}
	if (err != ERR_OK) {
		return err;
	}
	if (d->op == DECODE_LODS) {
		reg_set(e, VIRT_RAX, d->size, false, value);
	}
	if (d->op != DECODE_STOS) {
		advance(e, d, VIRT_RSI);
	}
	if (d->op != DECODE_LODS) {
		advance(e, d, VIRT_RDI);
	}
	return ERR_OK;
}

static enum err do_string(struct emulate *e, const struct decode *d)
{
	unsigned batch = (e->rflags & FLAG_TF) != 0 ? 1 : EMULATE_STRING_BATCH;	/* a trap comes behind each */

	if (!d->rep) {
		return string_element(e, d);
	}
	for (unsigned i = 0; i < batch; i++) {
		uint64_t left = reg_get(e, VIRT_RCX, d->addr_size, false);
		enum err err;

		if (left == 0) {
			return ERR_OK;
		}
		err = string_element(e, d);
		if (err != ERR_OK) {
			return err;
		}
		reg_set(e, VIRT_RCX, d->addr_size, false, left - 1);
	}
	e->repeat = reg_get(e, VIRT_RCX, d->addr_size, false) != 0;
	return ERR_OK;
}

/* Does the instruction write its register operand? */
static bool writes_reg(const struct decode *d)
{
	return d->op == DECODE_XCHG || d->op == DECODE_XADD ||
	       (!d->to_memory && d->op != DECODE_CMP && d->reg != DECODE_REG_NONE);
}

enum err emulate_mmio(struct emulate *e, const struct decode *d, gpa_t fault)
{
	struct operand o = { .at = fault, .bytes = d->size };
	uint64_t other = (uint64_t)d->imm, m = 0;
	enum err err;

	e->repeat = false;
	if (d->op >= DECODE_MOVS) {
		return do_string(e, d);
	}
	/* RSP is not among the general registers; nobody points a stack by a device register. */
	if (writes_reg(d) && d->reg == VIRT_RSP && !d->reg_high) {
		return ERR_NOTSUP;
	}
	if (d->reg != DECODE_REG_NONE) {
		other = reg_get(e, d->reg, d->reg_size, d->reg_high);
	}
	other = cut(other, d->size);
	o.linear = linear_of(e, d->seg, effective_address(e, d));
	o.direct = !crosses_page(o.linear, o.bytes) && (o.linear & PAGE_MASK) == (fault.v & PAGE_MASK);
	if (d->op <= DECODE_MOVSX) {
		return do_move(e, d, &o, other);
	}
	err = operand_read(e, &o, &m);
	if (err != ERR_OK) {
		return err;
	}
	switch (d->op) {
	case DECODE_CMPXCHG: return do_cmpxchg(e, d, &o, m, other);
	case DECODE_XCHG: case DECODE_XADD: return do_exchange(e, d, &o, m, other);
	default: return do_binary(e, d, &o, m, other);
	}
}

enum err emulate_decode(const struct gmem *mem, const struct virt_state *state, uint8_t bytes[DECODE_BYTES_MAX],
			size_t *count, struct decode *out)
{
	uint64_t at = linear_of(&(struct emulate){ .state = state }, DECODE_CS, state->rip);

	*count = gwalk_fetch(mem, state, at, bytes, DECODE_BYTES_MAX);
	return decode_insn(bytes, *count, state->code_bits, out);
}
