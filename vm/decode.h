/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decodes the instructions that reach devices through memory: moves, string moves and read-modify-write integer
 * operations with one memory operand. Anything else (vector registers, stack, control flow) is ERR_NOTSUP, and the VM
 * is stopped with its bytes in the log. Effects are vm/emulate.h's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/x86_64/virt.h"
#include "kernel/lib/err.h"

#define DECODE_BYTES_MAX	15u	/* longest instruction (SDM volume 2, 2.3.11) */
#define DECODE_REG_NONE		0xffu
#define DECODE_BASE_RIP		0xfeu

#define DECODE_OP_TABLE(X) \
	X(MOV, "mov") X(MOVZX, "movzx") X(MOVSX, "movsx") \
	X(ADD, "add") X(OR, "or") X(ADC, "adc") X(SBB, "sbb") X(AND, "and") X(SUB, "sub") X(XOR, "xor") X(CMP, "cmp") \
	X(TEST, "test") X(NOT, "not") X(NEG, "neg") X(INC, "inc") X(DEC, "dec") \
	X(XCHG, "xchg") X(CMPXCHG, "cmpxchg") X(XADD, "xadd") \
	X(BT, "bt") X(BTS, "bts") X(BTR, "btr") X(BTC, "btc") \
	X(MOVS, "movs") X(STOS, "stos") X(LODS, "lods")

/* ADD .. CMP stand in the order of the opcode's bits 3..5. */
enum decode_op {
#define DECODE_OP_ENUM(name, words) DECODE_##name,
	DECODE_OP_TABLE(DECODE_OP_ENUM)
#undef DECODE_OP_ENUM
	DECODE_OP_COUNT
};

/* In the order of the sreg encoding. */
enum decode_seg { DECODE_ES, DECODE_CS, DECODE_SS, DECODE_DS, DECODE_FS, DECODE_GS };

struct decode {
	enum decode_op op;
	uint8_t length;		/* bytes of the whole instruction */
	uint8_t size;		/* bytes the memory operand has: 1, 2, 4, 8 */
	uint8_t reg_size;	/* bytes of the register operand; differs from size for MOVZX and MOVSX only */
	uint8_t reg;		/* enum virt_gpr, or DECODE_REG_NONE */
	bool reg_high;		/* the register is bits 8..15 of reg: AH, CH, DH, BH */
	bool to_memory;		/* memory is the destination (also of the compares, which write nothing) */
	bool has_imm;		/* the other operand is imm, sign-extended to 64 bits */
	bool lock, rep;
	int64_t imm;
	/* The memory operand: seg:[base + index << scale + disp], modulo 2^(8 * addr_size). */
	uint8_t addr_size;	/* bytes: 2, 4, 8 */
	uint8_t base, index, scale;
	enum decode_seg seg;	/* for MOVS the source's; the destination's is ES */
	int64_t disp;
};

/*
 * Decodes one instruction for a cpu in 16-, 32- or 64-bit code. ERR_TRUNCATED: len bytes end inside it;
 * ERR_FORMAT: longer than 15 bytes or a LOCK where none may be; ERR_NOTSUP: not one of ours, or without a memory
 * operand.
 */
enum err decode_insn(const void *bytes, size_t len, unsigned code_bits, struct decode *out);
