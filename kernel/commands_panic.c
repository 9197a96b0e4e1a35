/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The command `panic`: makes a fault of the hypervisor, so that one can see before it matters what a fault prints, that
 * it gets out of the console, and that code, data and stacks are guarded.
 */
#include "kernel/lib/string.h"
#include "kernel/lib/util.h"
#include "kernel/shell.h"

#define FRAME_BYTES	512u

static void bad_opcode(void)
{
	__builtin_trap();
}

static void write_code(void)
{
	volatile uint8_t *code = (volatile uint8_t *)(uintptr_t)bad_opcode;

	*code = 0;
}

static void run_data(void)
{
	static uint8_t ret = 0xc3;
	uint8_t *volatile at = &ret;

	((void (*)(void))(uintptr_t)at)();
}

/* Always 0, which the compiler cannot know. */
static unsigned go_down(const volatile uint8_t *above)
{
	volatile uint8_t frame[FRAME_BYTES];

	frame[0] = *above;
	return frame[0] != 0 ? 1 : go_down(frame) + frame[0];
}

static void overflow_stack(void)
{
	static volatile uint8_t zero;

	(void)go_down(&zero);
}

static const struct kind {
	const char *name;
	void (*fault)(void);
} kinds[] = {
	{ "opcode", bad_opcode }, { "code", write_code }, { "data", run_data }, { "stack", overflow_stack },
};

static enum err run_panic(const struct shell_args *args)
{
	const char *name = args->count == 1 ? args->word[0] : "opcode";

	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (str_eq(name, kinds[i].name)) {
			kinds[i].fault();
			return shell_fail(ERR_STATE, name, "no fault came: this machine's protection does not work");
		}
	}
	return shell_fail(ERR_INVAL, name, "expected one of: opcode, code, data, stack");
}

SHELL_COMMAND(panic, .name = "panic", .usage = "[opcode|code|data|stack]", .most = 1, .run = run_panic,
	      .help = "Stops the machine by a fault: bad opcode, write to code, run data, stack overflow.");
