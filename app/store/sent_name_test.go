package store

import (
	"context"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
)

func TestShortenName(t *testing.T) {
	n := names{owners: map[string]int64{"Alpha": 3, "a | b": 4, "": 5}}
	for name, c := range map[string]struct {
		pattern string
		want    sentName
	}{
		"bad.example | Alpha":      {"[domain-name:value = 'bad.example']", sentName{nil, int64(3)}},
		"BAD.example | Alpha":      {"[domain-name:value = 'bad.example']", sentName{"BAD.example", int64(3)}},
		"bad.example | Stranger":   {"[domain-name:value = 'bad.example']", sentName{"bad.example | Stranger", nil}},
		"bad.example":              {"[domain-name:value = 'bad.example']", sentName{"bad.example", nil}},
		"":                         {"[domain-name:value = 'bad.example']", sentName{"", nil}},
		" | Alpha":                 {"[file]", sentName{"", int64(3)}},
		"x | ":                     {"[file]", sentName{"x", int64(5)}},
		"x | a | b":                {"[file]", sentName{"x | a | b", nil}},
		"it's | Alpha":             {`[url:value = 'it\'s']`, sentName{"it's", int64(3)}},
		"é | Alpha":                {"[url:value = 'é']", sentName{nil, int64(3)}},
		"\xff | Alpha":             {"[url:value = '\xff']", sentName{"\xff", int64(3)}},
		"a\x00b | Alpha":           {"[url:value = 'a\x00b']", sentName{"a\x00b", int64(3)}},
		"a' AND b = 'c | Alpha":    {"[x = 'a' AND b = 'c']", sentName{nil, int64(3)}},
		"1e608ca18bac7fb8 | Alpha": {"[file:hashes.MD5 = '1e608ca18bac7fb8']", sentName{nil, int64(3)}},
	} {
		if got := n.shortenName(name, c.pattern); got != c.want {
			t.Errorf("%q: %+v, want %+v", name, got, c.want)
		}
	}
}

// Whatever a name and a pattern are, what is read is what was written.
func TestNamesComeBack(t *testing.T) {
	f := newFixture(t)
	part := rapid.OneOf(rapid.SampledFrom([]string{"Alpha", "Beta", "", " | ", " = '", "']", "'", `\'`, "é", "\xff", "\x00", "bad.example", "ß | "}), rapid.StringN(0, 8, -1))
	text := rapid.Custom(func(t *rapid.T) (s string) {
		for _, p := range rapid.SliceOfN(part, 0, 4).Draw(t, "parts") {
			s += p
		}
		return s
	})
	rapid.Check(t, func(t *rapid.T) {
		value := text.Draw(t, "value")
		name := value + rapid.SampledFrom([]string{"", " | Alpha", " | Beta", " | Stranger", " | "}).Draw(t, "owner")
		pattern := text.Draw(t, "pattern")
		if rapid.Bool().Draw(t, "of the value") {
			pattern = "[url:value = '" + value + "']"
		}
		var got [2]string
		err := f.inTransaction(ctx(), func(ctx context.Context, tx *transaction) error {
			for _, owner := range []string{"Alpha", "Beta"} {
				if _, err := f.names.ownerNumber(ctx, tx, owner); err != nil {
					return err
				}
			}
			for _, text := range []string{`DELETE FROM outbox`, `DELETE FROM object`} {
				if _, err := tx.ExecContext(ctx, text); err != nil {
					return err
				}
			}
			n := f.names.shortenName(name, pattern)
			object := []any{int64(1), int64(1), int64(1), int64(0), pattern, int64(0), int64(0), int64(0), int64(0), int64(0), nil, int64(0), int64(0)}
			if err := insertObjects.execRows(ctx, tx, object); err != nil {
				return err
			}
			row := []any{int64(2), int64(1), int64(0), int64(1), false, int64(0), int64(0), int64(0), n.value, n.owner, int64(0), int64(0)}
			if err := insertRows.execRows(ctx, tx, row); err != nil {
				return err
			}
			if err := accept.execRows(ctx, tx, []any{int64(1), int64(2), n.value, n.owner, int64(0), int64(0)}); err != nil {
				return err
			}
			return tx.QueryRowContext(ctx, `SELECT `+objectName+`, `+outboxName+` FROM object JOIN outbox`).Scan(&got[0], &got[1])
		})
		if err != nil {
			t.Fatal(err)
		}
		if got != [2]string{name, name} {
			t.Fatalf("%q of %q comes back as %q", name, pattern, got)
		}
	})
}

// An object is accepted, rejected and retired by the name that its mapper made, of which the owner's number alone is kept.
func TestSentNameIsShort(t *testing.T) {
	f := newFixture(t)
	j := f.begin(job.Full)
	b := ledger.Batch{Job: j.Number, Mode: j.Mode, Query: f.query, Now: f.now}
	for id := range int64(2) {
		found := f.found(id, 0)
		found.Objects[0].Name = fmt.Sprintf("%d.example | o", id)
		b.Found = append(b.Found, found)
	}
	f.do(second(f.Apply(ctx(), b)))
	f.writeOut()
	f.wantNumber(2, "short names that wait", `SELECT count(*) FROM outbox WHERE value IS NULL AND owner = (SELECT number FROM owner WHERE name = 'o')`)
	out, err := f.Outgoing(ctx(), 0, 10)
	f.do(err)
	f.do(f.Settle(ctx(), Settlement{At: f.now, Accepted: out[:1], Rejected: []RejectedObject{{Outgoing: out[1], Code: "Bad", Message: "no"}}}))
	f.complete(j)
	f.wantNumber(1, "short names that stand", `SELECT count(*) FROM object WHERE state = 1 AND value IS NULL AND owner IS NOT NULL`)
	f.wantNumber(1, "lines of what was rejected", `SELECT count(*) FROM problem WHERE value = '1.example' AND owner = 'o'`)
	f.leave(1, 2)
	retired := f.upload()
	if len(retired) != 1 || !retired[0].Retire {
		t.Fatalf("%+v goes out", retired)
	}
	if _, name, _ := payload(t, retired[0].Payload); name != "0.example | o" {
		t.Errorf("it is retired as %q", name)
	}
}
