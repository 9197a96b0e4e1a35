/* SPDX-License-Identifier: BSD-2-Clause */
/* Tables for guests that provoke exceptions, and the count of an attack's checks (trap.h). */
#include "tests/guests/trap.h"

#define STACK_BYTES	4096u
#define STUB_BYTES	16u
#define TABLES		24u
#define PTE_P		1ul
#define PTE_LARGE	0x80ul
#define PTE_ADDRESS	0x000ffffffffff000ul
#define WRONG_SHOWN	12u
#define CODE_BYTES	4096u

extern const uint8_t trap_stubs[];

struct tss {
	uint32_t reserved0;
	uint64_t rsp[3], reserved1, ist[7], reserved2;
	uint16_t reserved3, iomap;
} __attribute__((packed));

struct pointer {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

struct trap_gate trap_idt[256];
unsigned attack_checks, attack_wrong;
static struct tss tss;
static uint64_t gdt[9];
static uint8_t stacks[3][STACK_BYTES] __attribute__((aligned(16)));
static uint8_t user_stack[STACK_BYTES] __attribute__((aligned(4096)));
static uint8_t code[CODE_BYTES] __attribute__((aligned(4096)));
static uint64_t tables[TABLES][512] __attribute__((aligned(4096)));
static unsigned tables_used;
static uint64_t cr3, seed = 88172645463325252ul;

void trap_set_gate(unsigned vector, const void *handler, unsigned ist, unsigned dpl)
{
	uint64_t at = (uint64_t)handler;

	trap_idt[vector] = (struct trap_gate){
		.low = (uint16_t)at, .selector = TRAP_CODE, .ist = (uint8_t)ist, .type = (uint8_t)(0x8e | dpl << 5),
		.mid = (uint16_t)(at >> 16), .high = (uint32_t)(at >> 32),
	};
}

void trap_set_ist(unsigned ist, uint64_t stack)
{
	tss.ist[ist - 1] = stack;
}

static uint64_t *table_of(uint64_t *entry)
{
	if ((*entry & PTE_P) == 0 || (*entry & PTE_LARGE) != 0) {
		uint64_t *t = tables[tables_used++ % TABLES], large = *entry;

		for (unsigned i = 0; i < 512; i++) {
			t[i] = (large & PTE_P) != 0 ? (large & ~(PTE_LARGE | 0x1ff000)) | i * 4096ul : 0;
		}
		*entry = (uint64_t)t | 7;
	}
	*entry |= 6;
	return (uint64_t *)(*entry & PTE_ADDRESS);
}

void trap_invlpg(uint64_t linear)
{
	__asm__ volatile("invlpg (%0)" : : "r"(linear) : "memory");
}

void trap_map(uint64_t linear, uint64_t physical, uint64_t flags)
{
	uint64_t *t = (uint64_t *)(cr3 & PTE_ADDRESS);

	t = table_of(&t[linear >> 39 & 511]);
	t = table_of(&t[linear >> 30 & 511]);
	t = table_of(&t[linear >> 21 & 511]);
	t[linear >> 12 & 511] = physical | flags;
	trap_invlpg(linear);
}

void trap_load_tables(void)
{
	struct pointer g = { sizeof(gdt) - 1, (uint64_t)gdt }, i = { sizeof(trap_idt) - 1, (uint64_t)trap_idt };

	gdt[TRAP_TSS / 8] &= ~(2ul << 40);	/* not busy */
	__asm__ volatile("mov %0, %%cr3" : : "r"(cr3) : "memory");
	__asm__ volatile("lgdt %0; lidt %1; ltr %w2" : : "m"(g), "m"(i), "r"(TRAP_TSS) : "memory");
}

void trap_init(void)
{
	uint64_t at = (uint64_t)&tss;

	__asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
	gdt[1] = 0x00af9b000000ffff;
	gdt[2] = 0x00cf93000000ffff;
	gdt[3] = 0x00cff3000000ffff;
	gdt[4] = 0x00affb000000ffff;
	gdt[5] = (sizeof(tss) - 1) | (at & 0xffffff) << 16 | 0x89ul << 40 | (at >> 24 & 0xff) << 56;
	gdt[6] = at >> 32;
	gdt[7] = 0x00cf9b000000ffff;
	gdt[8] = 0x00cffb000000ffff;
	tss.iomap = sizeof(tss);
	tss.rsp[0] = (uint64_t)stacks[1];
	tss.ist[0] = (uint64_t)stacks[1];
	tss.ist[1] = (uint64_t)stacks[2];
	for (unsigned v = 0; v < 256; v++) {
		trap_set_gate(v, trap_stubs + STUB_BYTES * v, v == 2 ? 2 : 1, v == TRAP_END ? 3 : 0);
	}
	trap_load_tables();
	trap_map((uint64_t)code, (uint64_t)code, 7);
	trap_map((uint64_t)user_stack, (uint64_t)user_stack, 7);
}

unsigned trap_run(const uint8_t *bytes, size_t count, struct trap_regs *r, bool user)
{
	for (size_t i = 0; i < count; i++) {
		code[i] = bytes[i];
	}
	code[count] = 0xcd;		/* INT TRAP_END */
	code[count + 1] = TRAP_END;
	r->rip = (uint64_t)code;
	r->cs = user ? TRAP_USER_CODE : TRAP_CODE;
	r->ss = user ? TRAP_USER_DATA : TRAP_DATA;
	r->rflags |= 2;
	if (r->gpr[RSP] == 0) {
		r->gpr[RSP] = (uint64_t)user_stack + STACK_BYTES;
	}
	return trap_enter(r);
}

void attack_step(const char *what)
{
	guest_puts("step ");
	guest_puts(what);
	guest_putc('\n');
}

bool attack_check(bool right, const char *what, uint64_t number, uint64_t got)
{
	attack_checks++;
	if (!right && attack_wrong++ < WRONG_SHOWN) {
		guest_puts("wrong: ");
		guest_puts(what);
		guest_putc(' ');
		guest_hex(number);
		guest_puts(" got ");
		guest_hex(got);
		guest_putc('\n');
	}
	return right;
}

noreturn void attack_done(const char *name)
{
	guest_puts("attack ");
	guest_puts(name);
	guest_puts(": done, ");
	guest_dec(attack_checks);
	guest_puts(" checks, ");
	guest_dec(attack_wrong);
	guest_puts(" wrong\n");
	guest_exit(attack_wrong < 255 ? attack_wrong : 255);
}

const char *guest_cmdline(const void *start_info)
{
	const char *text = (const char *)((const uint64_t *)start_info)[3];	/* hvm_start_info.cmdline_paddr */

	return text != NULL ? text : "";
}

static const char *after(const char *text, const char *word)
{
	for (; *text != '\0'; text++) {
		size_t i = 0;

		while (word[i] != '\0' && text[i] == word[i]) {
			i++;
		}
		if (word[i] == '\0') {
			return text + i;
		}
	}
	return NULL;
}

bool guest_has_word(const char *text, const char *word)
{
	const char *end = after(text, word);

	return end != NULL && (*end == '\0' || *end == ' ' || *end == '=');
}

uint64_t guest_number_after(const char *text, const char *key, uint64_t otherwise)
{
	const char *at = after(text, key);
	uint64_t n = 0;

	if (at == NULL || *at++ != '=') {
		return otherwise;
	}
	for (; *at >= '0' && *at <= '9'; at++) {
		n = n * 10 + (uint64_t)(*at - '0');
	}
	return n;
}

void guest_seed(uint64_t s)
{
	seed = s * 0x9e3779b97f4a7c15ul + 88172645463325252ul;
}

/* xorshift64 */
uint64_t guest_random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* The compiler calls these for structs. */
void *memset(void *to, int value, size_t n);
void *memcpy(void *to, const void *from, size_t n);

void *memset(void *to, int value, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		((volatile uint8_t *)to)[i] = (uint8_t)value;
	}
	return to;
}

void *memcpy(void *to, const void *from, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		((volatile uint8_t *)to)[i] = ((const uint8_t *)from)[i];
	}
	return to;
}
