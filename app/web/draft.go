package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/klauspost/compress/flate"

	"mssentinel/app/jsonscan"
	"mssentinel/app/store"
	"mssentinel/app/text"
)

// draft is the list of queries as an operator has edited it and not saved. It lives in the page, not in the Service.
type draft struct {
	Queries []draftQuery
	// Version is the saved list that the draft started from; Base is that list's fingerprint.
	Version, Base string
}

// draftQuery is a query with a key that a new one has too. Keys are short: the page has several of each.
type draftQuery struct {
	Key string
	store.Query
}

// draftView is a draftQuery as its page carries it.
type draftView struct {
	Key string `json:"key"`
	queryView
}

func newDraft(queries []store.Query, version string) *draft {
	d := &draft{Version: version}
	for i, q := range queries {
		d.Queries = append(d.Queries, draftQuery{Key: strconv.Itoa(i + 1), Query: tidyQuery(q)})
	}
	d.Base = d.fingerprint()
	return d
}

// parseDraft reads a draft from the fields of its page. One that is larger than our pages make it is refused before
// anything is made of it.
func parseDraft(packed, version, base string) (*draft, error) {
	tooLong := httpErrorf(http.StatusRequestEntityTooLarge,
		"The unsaved list is longer than %d MiB. Open CONFIGURE again, and shorten the queries.", maxList>>20)
	if len(packed) > maxPacked {
		return nil, tooLong
	}
	damaged := httpErrorf(http.StatusBadRequest, "The unsaved list did not arrive whole. Open CONFIGURE again.")
	content := base64.NewDecoder(base64.RawURLEncoding, strings.NewReader(packed))
	encoded, err := io.ReadAll(io.LimitReader(flate.NewReader(content), maxList+1))
	switch {
	case err != nil:
		return nil, damaged
	case len(encoded) > maxList:
		return nil, tooLong
	}
	queries, err := decodeQueries(encoded)
	switch {
	case errors.Is(err, errTooMany):
		return nil, httpErrorf(http.StatusRequestEntityTooLarge, "%s", text.Sentence(err.Error()))
	case err != nil || len(version) > maxWord || len(base) > maxWord:
		return nil, damaged
	}
	return &draft{Queries: queries, Version: version, Base: base}, nil
}

// decodeQueries reads what encodeQueries wrote. encoding/json would take several times as long, and each press of a button reads the whole
// list.
func decodeQueries(encoded []byte) (queries []draftQuery, err error) {
	if !utf8.Valid(encoded) {
		return nil, errors.New("characters are damaged")
	}
	r := draftReader{scanner: jsonscan.NewStrict(encoded), content: string(encoded)}
	r.sound = r.scanner.Next() == '['
	for range r.scanner.Elements {
		if len(queries) == maxQueries {
			return nil, errTooMany
		}
		queries = append(queries, r.readQuery())
	}
	if !r.sound || !r.scanner.Ended() {
		return nil, errors.New("this is no list of queries")
	}
	return queries, nil
}

// draftReader reads the queries of a draft.
type draftReader struct {
	scanner *jsonscan.Scanner
	content string
	// sound: nothing was read yet that no page of ours writes.
	sound bool
}

func (r *draftReader) readQuery() draftQuery {
	r.sound = r.sound && r.scanner.Next() == '{'
	var q draftQuery
	for name := range r.scanner.Members {
		switch r.content[name.Start:name.End] {
		case `"key"`:
			q.Key = r.readText()
		case `"id"`:
			q.ID = r.readText()
		case `"owners"`:
			q.Owners = r.readTexts()
		case `"types"`:
			q.Types = r.readTexts()
		case `"tql"`:
			q.TQL = r.readText()
		case `"sort_field"`:
			q.SortField = r.readText()
		case `"sort_direction"`:
			q.SortDirection = r.readText()
		case `"min_confidence"`:
			q.MinConfidence = r.readNumber()
		case `"ttl_hours"`:
			hours := r.readNumber()
			q.TTLHours = &hours
		case `"labels"`:
			q.Labels = r.readTexts()
		case `"tlp"`:
			q.TLP = r.readText()
		case `"rank"`, `"version"`: // both follow from the list
		default:
			r.sound = false
		}
	}
	r.sound = r.sound && len(q.Key) <= maxWord
	q.Query = tidyQuery(q.Query)
	return q
}

func (r *draftReader) readText() string {
	r.sound = r.sound && r.scanner.Next() == '"'
	value := r.scanner.Skip()
	return jsonscan.Text(r.content[value.Start:value.End])
}

func (r *draftReader) readTexts() []string {
	value := r.scanner.Skip()
	texts, ok := jsonscan.Texts(r.content[value.Start:value.End])
	r.sound = r.sound && ok
	return texts
}

func (r *draftReader) readNumber() int {
	value := r.scanner.Skip()
	number, err := strconv.Atoi(r.content[value.Start:value.End])
	r.sound = r.sound && err == nil
	return number
}

// encodeQueries gives the list as JSON, the form that decodeQueries reads.
func (d *draft) encodeQueries() ([]byte, error) {
	views := make([]draftView, 0, len(d.Queries))
	for _, q := range d.Queries {
		q.Rank, q.Version = 0, "" // both follow from the list
		views = append(views, draftView{Key: q.Key, queryView: queryView(q.Query)})
	}
	encoded, err := json.Marshal(views)
	if err != nil {
		return nil, fmt.Errorf("writing the unsaved list: %w", err)
	}
	return encoded, nil
}

// packText compresses, into characters that need no escape in a page or a form: the page carries the list beside the table, and sends it
// back with each button.
func packText(content []byte) (string, error) {
	var packed strings.Builder
	characters := base64.NewEncoder(base64.RawURLEncoding, &packed)
	err := flate.StatelessDeflate(characters, content, true, nil)
	if err := errors.Join(err, characters.Close()); err != nil {
		return "", fmt.Errorf("packing the unsaved list: %w", err)
	}
	return packed.String(), nil
}

// fingerprint changes with anything that a save would keep.
func (d *draft) fingerprint() string {
	var kept []byte
	for _, q := range d.Queries {
		s := q.Settings()
		for _, word := range []string{q.ID, selectionKey(q.Query), q.SortField, q.SortDirection, strconv.Itoa(s.MinConfidence), s.TTL.String(), s.TLP} {
			kept = appendWord(kept, word)
		}
		kept = appendWords(kept, s.Labels)
	}
	sum := sha256.Sum256(kept)
	return hex.EncodeToString(sum[:8])
}

func (d *draft) isDirty() bool { return d.fingerprint() != d.Base }

// findQuery is the index of the query under key, -1 where there is none.
func (d *draft) findQuery(key string) int {
	return slices.IndexFunc(d.Queries, func(q draftQuery) bool { return q.Key == key })
}

// moveQuery puts a query at the index to, or at the end of the list that is nearest to it. The others keep their order.
func (d *draft) moveQuery(key string, to int) {
	from := d.findQuery(key)
	if from < 0 {
		return
	}
	q := d.Queries[from]
	d.Queries = slices.Delete(d.Queries, from, from+1)
	d.Queries = slices.Insert(d.Queries, max(0, min(to, len(d.Queries))), q)
}

// orderBy puts the queries into the order of keys, as a page does by itself. Those that are not named come last, in
// the order that they have.
func (d *draft) orderBy(keys []string) {
	places := make(map[string]int, len(keys))
	for i, key := range keys {
		places[key] = i
	}
	place := func(q draftQuery) int {
		if i, named := places[q.Key]; named {
			return i
		}
		return len(keys)
	}
	slices.SortStableFunc(d.Queries, func(a, b draftQuery) int { return place(a) - place(b) })
}

func (d *draft) removeQuery(key string) {
	d.Queries = slices.DeleteFunc(d.Queries, func(q draftQuery) bool { return q.Key == key })
}

// putQuery replaces the query under key, or appends one where there is none. It returns the key under which it stands.
func (d *draft) putQuery(key string, q store.Query) string {
	if i := d.findQuery(key); i >= 0 {
		q.ID, q.Version = d.Queries[i].ID, d.Queries[i].Version
		d.Queries[i].Query = q
		return key
	}
	q.ID = ""
	key = d.newKey()
	d.Queries = append(d.Queries, draftQuery{Key: key, Query: q})
	return key
}

// newKey is one that no query of the draft has.
func (d *draft) newKey() string {
	highest := 0
	for _, q := range d.Queries {
		if digits, isNew := strings.CutPrefix(q.Key, "new-"); isNew {
			if n, err := strconv.Atoi(digits); err == nil {
				highest = max(highest, n)
			}
		}
	}
	return "new-" + strconv.Itoa(highest+1)
}

// parseImport reads what CONFIGURE exported or GET api/tql-config gave. A member of another name is an error: what it
// says would be lost without a word.
func parseImport(content []byte) ([]store.Query, error) {
	content = bytes.TrimSpace(bytes.TrimPrefix(content, []byte("\ufeff")))
	if len(content) == 0 {
		return nil, errors.New("there is nothing to import: choose a file, or paste its content")
	}
	var views queryList
	err := decodeJSON(bytes.NewReader(content), &views)
	if err == nil && views != nil {
		return queriesFromViews(views), nil
	}
	var answer queriesView
	if !errors.Is(err, errTooMany) {
		err = decodeJSON(bytes.NewReader(content), &answer)
	}
	if errors.Is(err, errTooMany) {
		return nil, err
	}
	if err != nil || answer.Data == nil {
		return nil, errors.New("this is not a list of queries, or has a member that queries do not have: " +
			"import a file that Export gave")
	}
	return queriesFromViews(answer.Data), nil
}

// replaceQueries takes an imported list. Queries that are saved here keep their identity, others are new.
func (d *draft) replaceQueries(queries, saved []store.Query) {
	known := queriesByID(saved)
	d.Queries = nil
	for i, q := range queries {
		q = tidyQuery(q)
		if _, found := known[q.ID]; !found {
			q.ID = ""
		}
		delete(known, q.ID) // what has the same id beyond the first is a query of its own
		d.Queries = append(d.Queries, draftQuery{Key: "new-" + strconv.Itoa(i+1), Query: q})
	}
}

// rebaseOn puts the draft on top of what someone else saved. Queries that they deleted become new ones.
func (d *draft) rebaseOn(saved []store.Query, version string) {
	known := queriesByID(saved)
	for i, q := range d.Queries {
		if _, found := known[q.ID]; !found {
			d.Queries[i].ID = ""
		}
	}
	d.Version, d.Base = version, newDraft(saved, version).Base
}

// queryList is the draft as it would be saved.
func (d *draft) queryList() []store.Query {
	queries := make([]store.Query, 0, len(d.Queries))
	for _, q := range d.Queries {
		queries = append(queries, q.Query)
	}
	return queries
}
