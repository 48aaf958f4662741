package store

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/uuid"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
)

// New objects stand apart until there are enough of them, over restarts as well, and are found by their keys all the same.
func TestNewKeysAreIndexed(t *testing.T) {
	f := newFixture(t)
	f.newKeys = 10
	j := f.begin(job.Full)
	apart := func(want int64) {
		t.Helper()
		f.wantNumber(want, "objects whose keys are new", `SELECT count(*) FROM object WHERE `+isNew)
		f.wantNumber(0, "keys of new objects in the table", `SELECT count(*) FROM object_key JOIN object ON number = object_key.object WHERE `+isNew)
	}
	f.apply(j, 0, 6)
	apart(6)
	f.apply(j, 6, 9)
	f.reopen()
	f.newKeys = 10
	f.apply(j, 9, 10)
	apart(10)
	f.apply(j, 10, 12)
	apart(2)
	f.apply(j, 12, 19)
	f.apply(j, 19, 20)
	apart(10)
	f.do(second(f.write.Exec(`DELETE FROM candidate`))) // which would lead to the objects by their numbers
	if counts := f.apply(j, 0, 20); counts.Queued != 0 {
		t.Errorf("%d objects are not known any more", counts.Queued)
	}
	f.wantNumber(20, "objects", `SELECT count(*) FROM object`)
	f.upload()
	for id := range int64(20) {
		if known, err := f.Lookup(ctx(), []uuid.UUID{f.found(id, 0).Objects[0].ID}, f.now); err != nil || len(known) != 1 {
			t.Errorf("object %d is known as %+v, %v", id, known, err)
		}
	}
}

// The larger the ledger, the more new objects stand apart.
func TestNewKeysOfALargeLedger(t *testing.T) {
	f := newFixture(t)
	f.newKeys = 2
	f.nextObject = 10 * objectsPerNewKey
	j := f.begin(job.Full)
	f.apply(j, 0, 9)
	f.apply(j, 9, 10)
	f.wantNumber(0, "indexed keys", `SELECT count(*) FROM object_key`)
	f.apply(j, 10, 11)
	f.wantNumber(10, "indexed keys", `SELECT count(*) FROM object_key`)
}

// What a transaction did to the keys in memory is forgotten when it fails.
func TestNewKeysAfterAFailure(t *testing.T) {
	f := newFixture(t)
	f.newKeys = 3
	j := f.begin(job.Full)
	f.apply(j, 0, 3)
	f.do(second(f.write.Exec(`CREATE TRIGGER fault BEFORE INSERT ON candidate BEGIN SELECT RAISE(ABORT, 'fault'); END`)))
	batch := ledger.Batch{Job: j.Number, Mode: j.Mode, Query: f.query, Now: f.now, Found: []ledger.Found{f.found(3, 0), f.found(4, 0)}}
	if _, err := f.Apply(ctx(), batch); err == nil {
		t.Fatal("there was no fault")
	}
	f.do(second(f.write.Exec(`DROP TRIGGER fault`)))
	f.wantNumber(0, "indexed keys", `SELECT count(*) FROM object_key`)
	f.do(second(f.write.Exec(`DELETE FROM candidate`))) // which would lead to the objects by their numbers
	if counts := f.apply(j, 0, 3); counts.Queued != 0 {
		t.Errorf("%d objects are not known any more", counts.Queued)
	}
	f.apply(j, 3, 5)
	f.wantNumber(5, "objects", `SELECT count(*) FROM object`)
}

// A number that was given once is never given again to a new object: it would pass for one whose key is indexed.
func TestNumbersAfterIndexedOnesAreGone(t *testing.T) {
	f := newFixture(t)
	f.newKeys = 3
	j := f.begin(job.Full)
	f.apply(j, 0, 3)
	f.apply(j, 3, 4)
	f.upload()
	f.do(second(f.write.Exec(`DELETE FROM candidate WHERE object > 1`)))
	f.do(second(f.write.Exec(`DELETE FROM object WHERE number > 1`)))
	f.reopen()
	f.apply(j, 4, 5)
	f.wantNumber(4, "the new object's number", `SELECT max(number) FROM object`)
	f.wantNumber(1, "new objects", `SELECT count(*) FROM object WHERE `+isNew)
}

// The keys of new objects that were dropped are waited for no more, even where those were all that there were.
func TestNewObjectsThatAreDropped(t *testing.T) {
	f := newFixture(t)
	f.newKeys = 1
	f.fill(1)
	f.do(second(f.write.Exec(`DELETE FROM candidate`)))
	f.do(second(f.write.Exec(`UPDATE object SET query = ?, indicator = 0, state = ?`, ledger.QueryNobody, ledger.Retired)))
	f.do(f.Clean(ctx(), f.now.Add(100*day24)))
	f.wantNumber(0, "objects", `SELECT count(*) FROM object`)
	f.fill(1)
	f.wantNumber(1, "new objects", `SELECT count(*) FROM object WHERE `+isNew)
}

// Two objects that share a key are told apart, wherever it stands.
func TestObjectsThatShareAKey(t *testing.T) {
	ids := []int{7_541_109, 10_748_642} // the first two that do
	for name, limit := range map[string]int64{"indexed": 1, "indexed together": 2, "new": 10} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.newKeys = limit
			j := f.begin(job.Full)
			for i, id := range ids {
				if counts := f.apply(j, id, id+1); counts.Queued != 1 {
					t.Errorf("object %d is queued %d times", i+1, counts.Queued)
				}
			}
			f.wantNumber(1, "keys of both", `SELECT count(DISTINCT key) FROM object`)
			f.apply(j, 0, 1)
			f.do(second(f.write.Exec(`DELETE FROM candidate`))) // which would lead to the objects by their numbers
			for i, id := range ids {
				if counts := f.apply(j, id, id+1); counts.Queued != 0 {
					t.Errorf("object %d is not known any more", i+1)
				}
			}
			f.upload()
			for i, id := range ids {
				known, err := f.Lookup(ctx(), []uuid.UUID{f.found(int64(id), 0).Objects[0].ID}, f.now)
				if err != nil || len(known) != 1 || known[0].Name != fmt.Sprintf("%d.example v0", id) {
					t.Errorf("object %d is known as %+v, %v", i+1, known, err)
				}
			}
			if all := f.recordedAll(uuid.Nil, uuid.Max, 3); len(all) != 3 {
				t.Errorf("%d of three objects are recorded", len(all))
			}
		})
	}
}

// Objects of the same key are all found.
func TestKeysMayBeTheSame(t *testing.T) {
	k := keyedObjects{newest: map[int64]int64{}, before: map[int64]int64{}}
	for number, key := range []int64{10, 20, 10, 30, 10} {
		k.add(key, int64(number))
	}
	if got := k.find([]int64{10, 15, 30}); !slices.Equal(got, []int64{4, 2, 0, 3}) {
		t.Errorf("found are %d", got)
	}
}
