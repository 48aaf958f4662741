package main

/*
#define _GNU_SOURCE
#include <link.h>
#include <malloc.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

// Other C libraries have no such calls, and keep less.

// The free end of a thread's heap is given back when something before it is freed, if it is longer than this; malloc_trim leaves it.
static void bound_free_ends(int bytes) {
#ifdef __GLIBC__
	mallopt(M_TRIM_THRESHOLD, bytes);
#endif
}

static void give_back_heap(void) {
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}

static int give_back_segments(struct dl_phdr_info *program, size_t size, void *unused) {
	uintptr_t page = sysconf(_SC_PAGESIZE);
	for (int i = 0; i < program->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &program->dlpi_phdr[i];
		if (p->p_type == PT_LOAD && !(p->p_flags & PF_W)) {
			uintptr_t start = (program->dlpi_addr + p->p_vaddr) & ~(page - 1);
			madvise((void *)start, program->dlpi_addr + p->p_vaddr + p->p_memsz - start, MADV_DONTNEED);
		}
	}
	return 1; // the first is the executable itself
}

// Code and constants are never written, and are read from the file again where they are needed.
static void give_back_code(void) { dl_iterate_phdr(give_back_segments, NULL); }
*/
import "C"

import (
	"context"
	"runtime"
	"runtime/debug"
)

// memoryLimit, in bytes, is the size of Go's memory above which garbage is collected more often. With SQLite's cache of 8 MB and the
// code the process stays below 90 MB, however many indicators there are. Some 20 MB are in use during an update, which takes 3 % less
// processor time with 52 MiB.
const memoryLimit = 46 << 20

// At work, a heap of C's may have a free end of this many bytes, between two updates of far less: each thread has a heap.
const (
	longFreeEnd  = 8 << 20
	shortFreeEnd = 64 << 10
)

// releaseMemory gives the system back what an update needed and the time until the next one does not: SQLite's connections, Go's heap,
// what C's heap, from which SQLite allocates, keeps of them, and the code.
func (s *service) releaseMemory(ctx context.Context) error {
	C.bound_free_ends(shortFreeEnd)
	defer C.bound_free_ends(longFreeEnd)
	err := s.store.ReleaseMemory(ctx)
	runtime.GC() // what pools keep survives one collection
	debug.FreeOSMemory()
	C.give_back_heap()
	C.give_back_code()
	return err
}
