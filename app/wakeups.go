package main

/*
#include <sys/prctl.h>

// What a thread sets holds for each thread and process that it starts later. Go starts threads before any of our Go code runs, and C
// runs this before it starts Go.
__attribute__((constructor)) static void set_timer_slack(void) {
	const unsigned long nanoseconds = 2000000;
	prctl(PR_SET_TIMERSLACK, nanoseconds, 0, 0, 0);
}
*/
import "C"

// Each wait of the App and of its mappers may end up to 2 ms late, so that the kernel ends several at once; usually that is 50 µs. While a
// Go program works, a thread of it looks every 20 µs at what the others do. Ten such programs on two processors interrupt each other some
// 5,600 times a second so, which takes a tenth of an update's processor time. Nothing here has to be in time by a millisecond.
