package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mssentinel/app/job"
)

func tql(text string) Query { return Query{Owners: []string{"o"}, Types: []string{"Host"}, TQL: text} }

// A save keeps who, when, which update and what changed, over a restart; one that changes nothing keeps nothing.
func TestListVersions(t *testing.T) {
	f := &fixture{T: t, dir: t.TempDir()}
	f.open()
	t.Cleanup(func() { f.Close() })
	if versions, err := f.ListVersions(ctx()); err != nil || len(versions) != 0 {
		t.Fatalf("before the first save: %v %v", versions, err)
	}
	save := func(by string, next job.Mode, queries ...Query) []Query {
		f.do(second(f.SaveQueries(ctx(), queries, "", next, by)))
		saved, _, err := f.Queries(ctx())
		f.do(err)
		return saved
	}
	first := save("jdoe", job.Full, tql("a"), tql("b"), tql("c"))
	save("nobody", job.Full, first...)
	edited := first[2]
	edited.TQL = "c2"
	latest := save("", job.Delta, edited, first[0], tql("d"))
	if _, err := f.SaveQueries(ctx(), nil, "outdated", job.Full, "late"); !errors.Is(err, ErrOutdated) {
		t.Error(err)
	}
	f.reopen()
	versions, err := f.ListVersions(ctx())
	f.do(err)
	want := []ListVersion{{Number: 2, Next: job.Delta, Queries: 3, Changes: ListChanges{Added: 1, Edited: 1, Deleted: 1, Moved: 1}},
		{Number: 1, SavedBy: "jdoe", Next: job.Full, Queries: 3, Changes: ListChanges{Added: 3}}}
	if diff := cmp.Diff(want, versions, cmpopts.IgnoreFields(ListVersion{}, "SavedAt")); diff != "" {
		t.Errorf("versions (-want +got):\n%s", diff)
	}
	for number, want := range map[int64][]Query{1: first, 2: latest} {
		v, queries, err := f.ListVersion(ctx(), number)
		f.do(err)
		if diff := cmp.Diff(want, queries); diff != "" || v.SavedAt.IsZero() {
			t.Errorf("version %d of %s (-want +got):\n%s", number, v.SavedAt, diff)
		}
	}
	if _, _, err := f.ListVersion(ctx(), 3); !errors.Is(err, ErrNotFound) {
		t.Errorf("a version that is none: %v", err)
	}
	if got := len(save("", job.Delta)); got != 0 {
		t.Errorf("%d queries in the empty list", got)
	}
	if v, queries, err := f.ListVersion(ctx(), 3); err != nil || len(queries) != 0 || v.Changes.Deleted != 3 {
		t.Errorf("the empty list: %+v %v %v", v, queries, err)
	}
}

// The last 20 versions are kept, and long lists take little of the disk.
func TestOldVersionsAreDropped(t *testing.T) {
	f := newFixture(t) // saves once
	list := make([]Query, 50)
	for i := range list {
		list[i] = tql(fmt.Sprintf("rating > %d and summary like '%s'", i, strings.Repeat("word ", 200)))
	}
	for i := range KeptVersions + 1 {
		list[0].TQL = fmt.Sprintf("version %d", i)
		f.do(second(f.SaveQueries(ctx(), list, "", job.Delta, "")))
		list, _, _ = f.Queries(ctx())
	}
	versions, err := f.ListVersions(ctx())
	f.do(err)
	if len(versions) != KeptVersions || versions[0].Number != KeptVersions+2 || versions[KeptVersions-1].Number != 3 {
		t.Errorf("%d versions from %d on", len(versions), versions[0].Number)
	}
	if _, _, err := f.ListVersion(ctx(), 2); !errors.Is(err, ErrNotFound) {
		t.Errorf("one that is too many: %v", err)
	}
	var size int
	f.do(f.read.Get(&size, `SELECT sum(length(list)) FROM list_version`))
	if size > 200<<10 {
		t.Errorf("20 versions of 50 queries of 1 kB take %d bytes", size)
	}
}

// What changed between two lists is told query by query, and as few as possible count as moved.
func TestCompareLists(t *testing.T) {
	list := func(names string) (queries []Query) {
		for _, name := range strings.Fields(names) {
			id, text, edited := strings.Cut(name, "=")
			if !edited {
				text = id
			}
			q := tql(text)
			q.ID = id
			queries = append(queries, q)
		}
		return queries
	}
	for _, tt := range []struct{ before, after, want string }{
		{"", "", ""},
		{"a b c", "a b c", ""},
		{"", "a b", "+a +b"},
		{"a b", "", "-a -b"},
		{"a b c", "c a b", "^c"},
		{"a b c d", "b c d a", "^a"},
		{"a b c", "a=x c b", "~a ^c"},
		{"a b c", "c=x a", "~^c -b"},
		{"a b", "n a m b", "+n +m"},
		{"a b", "new=a b", ""}, // deleted, and restored under another ID
		{"a b", "b new=a", "^b"},
		{"a=x b=x", "m=x n=x o=x", "+o"},
	} {
		var got []string
		for _, c := range CompareLists(list(tt.before), list(tt.after)) {
			var mark, id string
			switch {
			case c.Before == nil:
				mark, id = "+", c.After.ID
			case c.After == nil:
				mark, id = "-", c.Before.ID
			default:
				id = c.After.ID
				if c.Edited() {
					mark = "~"
				}
				if c.Moved {
					mark += "^"
				}
			}
			got = append(got, mark+id)
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%q to %q: %q, want %q", tt.before, tt.after, strings.Join(got, " "), tt.want)
		}
	}
}

// However a list is shuffled, what does not count as moved stands in its old order, and no more queries moved than were.
func TestFewestQueriesMoved(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		before := make([]Query, 1+r.IntN(30))
		for i := range before {
			before[i] = tql(fmt.Sprint(i))
			before[i].ID = fmt.Sprint(i)
		}
		after, moves := slices.Clone(before), r.IntN(4)
		for range moves {
			from := r.IntN(len(after))
			q := after[from]
			after = slices.Delete(after, from, from+1)
			after = slices.Insert(after, r.IntN(len(after)+1), q)
		}
		changes := CompareLists(before, after)
		moved := map[string]bool{}
		for _, c := range changes {
			moved[c.After.ID] = true
		}
		last := -1
		for _, q := range after {
			if at := slices.IndexFunc(before, func(b Query) bool { return b.ID == q.ID }); !moved[q.ID] {
				if at < last {
					t.Fatalf("%s counts as still and is not", q.ID)
				}
				last = at
			}
		}
		if len(changes) > moves {
			t.Fatalf("%d queries moved by %d moves", len(changes), moves)
		}
	}
}

// A query is the same by its identity first, and by what it says only where that is gone.
func TestPairsOfQueries(t *testing.T) {
	query := func(id, tql string) Query {
		return Query{ID: id, Owners: []string{"o"}, Types: []string{"Host"}, TQL: tql}
	}
	before := []Query{query("a", "one"), query("b", "one"), query("c", "two")}
	for _, c := range []struct {
		after []Query
		want  []int
	}{
		{[]Query{query("a", "one")}, []int{0}},
		{[]Query{query("b", "one")}, []int{1}},
		{[]Query{query("b", "one"), query("a", "one")}, []int{1, 0}},
		{[]Query{query("x", "one"), query("a", "three")}, []int{1, 0}},
		{[]Query{query("x", "two"), query("y", "two"), query("a", "one")}, []int{2, -1, 0}},
		{[]Query{query("a", "one"), query("a", "one")}, []int{0, 1}},
	} {
		got := pairQueries(before, c.after)
		if !slices.Equal(got, c.want) {
			t.Errorf("%v: %v, want %v", c.after, got, c.want)
		}
	}
}
