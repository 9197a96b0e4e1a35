/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The console's input side. A serial port keeps 16 bytes, which at 115200 come in 1.4 ms; what takes longer than that
 * on its way calls console_catch(). Only the housekeeping cpu takes bytes out of the ring.
 */
#include <stdatomic.h>

#include "kernel/arch.h"
#include "kernel/console.h"
#include "kernel/lib/util.h"

#define RX_BYTES	4096u
/* So that a port that answers nonsense for ever does not keep this cpu. */
#define CATCH_MAX	256u

static struct {
	atomic_flag lock;		/* of the port and of head */
	uint8_t ring[RX_BYTES];
	_Atomic unsigned head, tail;	/* bytes ever caught, ever taken */
	void (*receiver)(uint8_t byte);
} in = { .lock = ATOMIC_FLAG_INIT };

void console_set_receiver(void (*input)(uint8_t byte))
{
	in.receiver = input;
}

void console_catch(void)
{
	unsigned head;

	if (!arch_serial_present() || atomic_flag_test_and_set_explicit(&in.lock, memory_order_acquire)) {
		return;			/* another cpu is at it */
	}
	head = atomic_load_explicit(&in.head, memory_order_relaxed);
	for (unsigned i = 0; i < CATCH_MAX; i++) {
		unsigned waiting = head - atomic_load_explicit(&in.tail, memory_order_acquire);
		int byte = waiting < RX_BYTES ? arch_serial_rx() : -1;

		if (byte < 0) {
			break;
		}
		in.ring[head++ % RX_BYTES] = (uint8_t)byte;
	}
	atomic_store_explicit(&in.head, head, memory_order_release);
	atomic_flag_clear_explicit(&in.lock, memory_order_release);
}

bool console_receive(void)
{
	unsigned tail;
	bool any = false;

	console_catch();
	tail = atomic_load_explicit(&in.tail, memory_order_relaxed);
	for (unsigned i = 0; i < CATCH_MAX && tail != atomic_load_explicit(&in.head, memory_order_acquire); i++) {
		uint8_t byte = in.ring[tail++ % RX_BYTES];

		atomic_store_explicit(&in.tail, tail, memory_order_release);
		any = true;
		if (in.receiver != NULL) {
			in.receiver(byte);
		}
		tail = atomic_load_explicit(&in.tail, memory_order_relaxed);	/* the receiver may have waited, and received */
	}
	return any;
}
