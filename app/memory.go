package main

/*
#include <malloc.h>

// Other C libraries have no such call, and keep less.
static void give_back_heap(void) {
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}
*/
import "C"

import (
	"context"
	"runtime"
	"runtime/debug"
)

// memoryLimit, in bytes, is the size of the heap above which Go collects garbage more often. With SQLite's cache of
// 16 MB and the code the process stays below 130 MB, however many indicators there are.
const memoryLimit = 80 << 20

// releaseMemory gives the system back what an update needed and the time until the next one does not: SQLite's caches, Go's heap, and
// what C's heap, from which SQLite allocates, keeps of both.
func (s *service) releaseMemory(ctx context.Context) error {
	err := s.store.ReleaseMemory(ctx)
	runtime.GC() // what pools keep survives one collection
	debug.FreeOSMemory()
	C.give_back_heap()
	return err
}
