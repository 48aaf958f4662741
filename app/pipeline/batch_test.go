package pipeline

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"mssentinel/app/sentinel"
	"mssentinel/app/store"
)

func row(seq, object int64, source string, size int) *store.Outgoing {
	return &store.Outgoing{Seq: seq, Object: object, Source: source, Payload: make([]byte, size)}
}

func TestNextBatch(t *testing.T) {
	many := make([]*store.Outgoing, 130)
	for i := range many {
		many[i] = row(int64(i+1), int64(i+1), "a", 10)
	}
	const half = sentinel.MaxBytes / 2
	for _, c := range []struct {
		name   string
		rows   []*store.Outgoing
		flying []int64
		want   string // seqs that are sent
		full   bool
		behind string // seqs that stay
	}{
		{"nothing", nil, nil, "[]", false, "[]"},
		{"few", many[:3], nil, "[1 2 3]", false, "[]"},
		{"one version of an object", []*store.Outgoing{row(1, 7, "a", 10), row(2, 8, "a", 10), row(3, 7, "a", 10)}, nil, "[1 2]", false, "[3]"},
		{"one source", []*store.Outgoing{row(1, 1, "a", 10), row(2, 2, "b", 10), row(3, 3, "a", 10)}, nil, "[1]", true, "[2 3]"},
		{"not what is under way", many[:4], []int64{2, 3}, "[1 4]", false, "[2 3]"},
		{"only what is under way", many[:1], []int64{1}, "[]", false, "[1]"},
		{"not more than fits", []*store.Outgoing{row(1, 1, "a", half), row(2, 2, "a", half), row(3, 3, "a", 10)}, nil, "[1]", true, "[2 3]"},
		{"a large one goes alone", []*store.Outgoing{row(1, 1, "a", 2*half), row(2, 2, "a", 10)}, nil, "[1]", true, "[2]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := outboxQueue{rows: slices.Clone(c.rows), underWay: map[int64]bool{}}
			for _, object := range c.flying {
				q.underWay[object] = true
			}
			b, full := q.nextBatch()
			if got := seqs(b.rows); got != c.want || full != c.full {
				t.Errorf("sent %s, full %t; want %s, %t", got, full, c.want, c.full)
			}
			if len(b.rows) == 0 {
				return
			}
			if q.startBatch(b); seqs(q.rows) != c.behind {
				t.Errorf("%s stay; want %s", seqs(q.rows), c.behind)
			}
		})
	}
	q := outboxQueue{rows: many, underWay: map[int64]bool{}}
	if b, full := q.nextBatch(); len(b.rows) != 100 || !full {
		t.Errorf("%d rows, full %t; want 100", len(b.rows), full)
	}
}

// A request has at most 1 MiB, whatever its source system is called.
func TestBatchFillsARequest(t *testing.T) {
	for _, source := range []string{"ThreatConnect-Acme", "ThreatConnect-" + strings.Repeat("<", 242)} {
		name, _ := json.Marshal(source)
		rest := 1<<20 - len(`{"sourcesystem":`+string(name)+`,"stixobjects":[1,]}`)
		for size, want := range map[int]string{rest: "[1 2]", rest + 1: "[1]"} {
			q := outboxQueue{rows: []*store.Outgoing{row(1, 1, source, 1), row(2, 2, source, size)}, underWay: map[int64]bool{}}
			if b, _ := q.nextBatch(); seqs(b.rows) != want {
				t.Errorf("%.20s: %d bytes to spare and an object of %d: sent %s, want %s", source, rest, size, seqs(b.rows), want)
			}
		}
	}
}

func seqs(rows []*store.Outgoing) string {
	list := []int64{}
	for _, r := range rows {
		list = append(list, r.Seq)
	}
	return fmt.Sprint(list)
}

// However requests come back, the versions of an object arrive in order, never two at once, and nothing is left.
func TestBatchesKeepTheOrderOfAnObject(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 400).Draw(t, "rows")
		objects := rapid.Int64Range(1, 60).Draw(t, "objects")
		q := outboxQueue{underWay: map[int64]bool{}}
		newest, arrived := map[int64]int64{}, map[int64]int64{}
		for seq := int64(1); seq <= int64(n); seq++ {
			object := rapid.Int64Range(1, objects).Draw(t, "object")
			source := rapid.SampledFrom([]string{"a", "a", "a", "b"}).Draw(t, "source")
			q.rows = append(q.rows, row(seq, object, source, rapid.IntRange(1, 40_000).Draw(t, "size")))
			newest[object] = seq
		}
		var flights []batch
		for len(q.rows) > 0 || len(flights) > 0 {
			if b, _ := q.nextBatch(); len(b.rows) > 0 && len(flights) < maxRequests && rapid.Bool().Draw(t, "launch") {
				for _, r := range b.rows {
					if q.underWay[r.Object] {
						t.Fatalf("object %d is under way twice", r.Object)
					}
					if r.Source != b.source {
						t.Fatal("two sources in a batch")
					}
				}
				if len(b.rows) > sentinel.MaxObjects || b.size > sentinel.MaxBytes {
					t.Fatalf("%d objects, %d bytes", len(b.rows), b.size)
				}
				q.startBatch(b)
				flights = append(flights, b)
				continue
			}
			if len(flights) == 0 {
				continue
			}
			i := rapid.IntRange(0, len(flights)-1).Draw(t, "lands")
			for _, r := range flights[i].rows {
				if arrived[r.Object] >= r.Seq {
					t.Fatalf("row %d of object %d arrives after row %d", r.Seq, r.Object, arrived[r.Object])
				}
				arrived[r.Object] = r.Seq
			}
			q.endBatch(flights[i])
			flights = slices.Delete(flights, i, i+1)
		}
		for object, seq := range newest {
			if arrived[object] != seq {
				t.Fatalf("of object %d row %d arrived last, not %d", object, arrived[object], seq)
			}
		}
	})
}

// What has left the queue keeps no memory.
func TestWhatHasLeftIsNotKept(t *testing.T) {
	list := []*store.Outgoing{row(1, 7, "a", 1), row(2, 7, "a", 1), row(3, 8, "a", 1)}
	q := outboxQueue{rows: list, underWay: map[int64]bool{}}
	b, _ := q.nextBatch()
	q.startBatch(b)
	if len(b.rows) != 2 || len(q.rows) != 1 || q.rows[0].Seq != 2 {
		t.Fatalf("%+v goes, %+v stays", b.rows, q.rows)
	}
	for _, r := range list[:2] {
		if r != nil {
			t.Errorf("row %d is kept", r.Seq)
		}
	}
	for _, r := range b.rows {
		if r.Payload == nil {
			t.Errorf("row %d has lost its object on its way", r.Seq)
		}
	}
}

// A later version of an object waits until the request with the one before has ended.
func TestABatchLeavesOutWhatIsUnderWay(t *testing.T) {
	q := outboxQueue{rows: []*store.Outgoing{row(1, 7, "a", 1)}, underWay: map[int64]bool{}}
	first, _ := q.nextBatch()
	q.startBatch(first)
	q.rows = append(q.rows, row(2, 7, "a", 1), row(3, 8, "a", 1))
	if b, _ := q.nextBatch(); len(b.rows) != 1 || b.rows[0].Seq != 3 {
		t.Errorf("beside the first version goes %+v", b.rows)
	}
	q.endBatch(first)
	if b, _ := q.nextBatch(); len(b.rows) != 2 {
		t.Errorf("after it goes %+v", b.rows)
	}
}
