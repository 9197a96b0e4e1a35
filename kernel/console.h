/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The console's output side, and who gets its input. Everything goes through one ring that the housekeeping cpu
 * empties into the serial port and the screen with console_pump(). Lines of the log and of guests are whole: they
 * appear above the line being edited, which is drawn again afterwards.
 *
 * The screen (arch_screen_putc) gets the same bytes as the port: text in UTF-8, CR, LF, BS, BEL, of the escape
 * sequences ESC [ K, ESC [ n C, ESC [ H and ESC [ 2 J, and while a guest is attached whatever that one sends.
 *
 * "Any cpu" below: never waits but for the ring's lock. "Housekeeping": only there, may wait up to a second for room.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- Emptying the ring. */
/* Until the loop runs, every write is sent before it returns (the default); main then switches to the ring. */
void console_set_polled(bool polled);
/* Housekeeping, often: sends what the port takes, draws the edited line again. True while bytes remain. */
bool console_pump(void);
/* Housekeeping: sends all that waits, giving up when the port takes nothing for a second. */
void console_flush(void);
/* Any cpu, in what may take a millisecond: takes what the port has received out of it, before it overruns. */
void console_catch(void);
#define CONSOLE_CATCH_BYTES	(64 * KIB)	/* of memory cleared or copied: time to look at the port again */
/* Housekeeping: hands received bytes to the receiver; true when there were any. Also done while a writer waits for room. */
bool console_receive(void);
void console_set_receiver(void (*input)(uint8_t byte));
/* Panic: by polling, whoever holds the lock. Afterwards nothing else reaches the console. */
void console_panic_puts(const char *s);

/* --- Lines. */
/*
 * Any cpu: one line of the log without its LF. False when log lines are held back (console_hold(), an attachment):
 * show it later with console_say(). What finds the ring full is dropped and counted.
 */
bool console_line(const char *line, size_t len);
/* Any cpu: `[NAME] line`, made printable; nothing in plain mode or while attached. */
void console_guest_line(const char *name, const char *line, size_t len);
/*
 * Any cpu: how many bytes of guests' output the ring should take now, so that what the shell says does not stand behind
 * seconds of it. Guests keep the rest themselves. Never more than 4 KiB; 0: ask again later.
 */
size_t console_guest_room(void);
/* Housekeeping: one line above the edited one. */
void console_say(const char *line, size_t len);
/* Housekeeping: a command's output, LF ends a line. */
void console_write(const char *s, size_t len);
/* Housekeeping: keeps log lines from the screen, for output that a program reads. */
void console_hold(bool hold);

/* Plain: no escape sequences, no redrawing, no guests' lines. */
void console_set_plain(bool plain);
bool console_is_plain(void);

/* --- The edited line (housekeeping; the shell). redraw draws prompt and line with console_edit_write(). */
void console_edit_open(void (*redraw)(void));	/* a fresh line, prompt drawn */
void console_edit_close(void);			/* a command runs: nothing to erase or draw */
void console_edit_sync(void);			/* before input is looked at: draws what another line erased */
void console_edit_write(const char *s, size_t len);

/*
 * --- Attachment (`vm console V`): input goes to one guest, whose output arrives raw, until Ctrl-] or console_detach().
 * The command that attaches ends (`ok`, prompt) at the detachment.
 */
/* Housekeeping, from a command. input is called on the housekeeping cpu; ctx (not NULL) names the attached side. */
void console_attach(void (*input)(void *ctx, uint8_t byte), void *ctx);
/* Any cpu: takes effect with the next shell_poll(); the attached side's ctx must live until attached_to(ctx) is false. */
void console_detach(void);
bool console_attached(void);
bool console_attached_to(const void *ctx);
/* Any cpu: bytes as they are, while attached; else ignored. */
void console_raw_write(const uint8_t *bytes, size_t len);
/* The shell's: one byte of input for the attached side (only while attached); a detachment asked for; the end of it. */
void console_attach_feed(uint8_t byte);
bool console_detach_wanted(void);
void console_attach_end(void);
