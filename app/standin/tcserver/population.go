package tcserver

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Owner is an Organization, a Community or a Source.
type Owner struct {
	ID         int64
	Name       string
	Type       string
	Permission string // on indicators: FULL (when empty), READ or NONE
}

// owner is what a row knows of its owner.
type owner struct {
	id   int64
	name string
}

// row is one indicator: what most queries ask for at hand, the rest in its document. It never changes; a changed
// indicator is another row.
type row struct {
	id              int64
	owner           *owner
	typ             string
	added, modified int64 // Unix seconds
	rating          int16 // in hundredths; absent when negative, as the next two
	confidence      int16
	score           int16
	active          bool
	doc             *stored    // nil when the generator writes it
	generator       *generator // of a row without document
	number          int32      // in the generator
}

// appendDocument writes the row with the members of the wanted fields.
func (r *row) appendDocument(dst []byte, want fields) []byte {
	start := len(dst)
	if r.doc != nil {
		dst = r.doc.appendDocument(dst, want)
	} else {
		dst = r.generator.appendDocument(dst, r, want)
	}
	if want&genericValues != 0 {
		return renameValues(dst, start, r.typ)
	}
	return dst
}

var genericValues = mustField("genericCustomIndicatorValues")

// renameValues gives the value members of a custom type their generic names.
func renameValues(dst []byte, start int, typ string) []byte {
	t, _ := typeNamed(typ)
	if !t.custom {
		return dst
	}
	for i, name := range t.members {
		renamed := bytes.Replace(dst[start:], []byte(`"`+name+`":`), []byte(`"value`+strconv.Itoa(i+1)+`":`), 1)
		dst = append(dst[:start], renamed...)
	}
	return dst
}

// Row is one indicator of a stand-in.
type Row struct {
	ID                      int64
	OwnerID                 int64
	Owner, Type             string
	DateAdded, LastModified time.Time
	Active                  bool
	row                     *row
}

// JSON is the indicator with every member that it has, as GET /v3/indicators gives it when all fields are asked for.
func (r Row) JSON() []byte { return r.row.appendDocument(nil, allFields&^genericValues) }

// Summary is the member of that name.
func (r Row) Summary() string { return textOf(valueOf(r.row.appendDocument(nil, 0), "summary")) }

func exportRow(r *row) Row {
	return Row{
		ID: r.id, OwnerID: r.owner.id, Owner: r.owner.name, Type: r.typ, Active: r.active,
		DateAdded: time.Unix(r.added, 0).UTC(), LastModified: time.Unix(r.modified, 0).UTC(), row: r,
	}
}

// Population is what a stand-in starts with. It can serve any number of stand-ins: none of them changes it.
type Population struct {
	rows   []*row // by id
	owners []Owner
}

// Len is the number of indicators, inactive ones included.
func (p *Population) Len() int { return len(p.rows) }

// Owners are the owners, the Organization of the API user first.
func (p *Population) Owners() []Owner { return slices.Clone(p.owners) }

// maxLine bounds one indicator of a file.
const maxLine = 16 << 20

// Load reads a file of indicators, one JSON object a line as GET /v3/indicators returns them with all fields, packed by
// gzip or plain. The owner with the smallest id becomes the Organization.
func Load(path string) (*Population, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening the population: %w", err)
	}
	defer f.Close()
	packed := bufio.NewReaderSize(f, 1<<20)
	var plain io.Reader = packed
	if magic, _ := packed.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		if plain, err = gzip.NewReader(packed); err != nil {
			return nil, fmt.Errorf("unpacking %s: %w", path, err)
		}
	}
	p, err := Read(plain)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return p, nil
}

// Read reads indicators as Load does.
func Read(r io.Reader) (*Population, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 1<<20), maxLine)
	owners := map[string]*owner{}
	p := &Population{}
	var pool []byte // lines are kept in large pieces
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		if cap(pool)-len(pool) < len(line) {
			pool = make([]byte, 0, max(1<<20, len(line)))
		}
		pool = append(pool, line...)
		row, err := parseRow(pool[len(pool)-len(line):], owners)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		p.rows = append(p.rows, row)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	return p.sortRows(owners)
}

// sortRows puts rows and owners in order.
func (p *Population) sortRows(owners map[string]*owner) (*Population, error) {
	slices.SortFunc(p.rows, byID)
	for i := 1; i < len(p.rows); i++ {
		if p.rows[i].id == p.rows[i-1].id {
			return nil, fmt.Errorf("the id %d is there twice", p.rows[i].id)
		}
	}
	for _, o := range owners {
		kind := "Source"
		if strings.Contains(o.name, "Community") {
			kind = "Community"
		}
		p.owners = append(p.owners, Owner{ID: o.id, Name: o.name, Type: kind})
	}
	slices.SortFunc(p.owners, func(a, b Owner) int { return int(a.ID - b.ID) })
	if len(p.owners) > 0 {
		p.owners[0].Type = "Organization"
	}
	return p, nil
}

func byID(a, b *row) int {
	switch {
	case a.id < b.id:
		return -1
	case a.id > b.id:
		return 1
	}
	return 0
}

// parseRow reads one document; raw is kept.
func parseRow(raw []byte, owners map[string]*owner) (*row, error) {
	doc, err := newStored(raw)
	if err != nil {
		return nil, err
	}
	r := &row{doc: doc, rating: -1, confidence: -1, score: -1, active: true}
	var ownerID int64
	var ownerName string
	faults := []error{}
	eachMember(raw, func(m member) bool { //nolint:errcheck // newStored has read it
		switch string(m.name) {
		case "id":
			r.id, err = strconv.ParseInt(string(m.value), 10, 64)
		case "ownerId":
			ownerID, err = strconv.ParseInt(string(m.value), 10, 64)
		case "ownerName":
			ownerName = textOf(m.value)
		case "type":
			r.typ = internType(textOf(m.value))
		case "dateAdded":
			r.added, err = parseTime(m.value)
		case "lastModified":
			r.modified, err = parseTime(m.value)
		case "active":
			r.active = string(m.value) == "true"
		case "rating":
			r.rating, err = parseNumber(m.value, 100)
		case "confidence":
			r.confidence, err = parseNumber(m.value, 1)
		case "threatAssessScore":
			r.score, err = parseNumber(m.value, 1)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", m.name, err))
		}
		err = nil
		return true
	})
	if r.id <= 0 || ownerName == "" || r.typ == "" || r.added == 0 || r.modified == 0 {
		faults = append(faults, errors.New("an indicator needs id, ownerName, type, dateAdded and lastModified"))
	}
	if owners[ownerName] == nil {
		owners[ownerName] = &owner{ownerID, ownerName}
	}
	r.owner = owners[ownerName]
	return r, errors.Join(faults...)
}

func parseNumber(value []byte, scale float64) (int16, error) {
	f, err := strconv.ParseFloat(string(value), 64)
	if err != nil || f < 0 || f*scale > 30000 {
		return -1, fmt.Errorf("%s is not a number in range", value)
	}
	return int16(f*scale + 0.5), nil
}

// parseTime reads a date as ThreatConnect writes it, at times with a blank at the end.
func parseTime(value []byte) (int64, error) {
	t, err := time.Parse(timeLayout, strings.TrimSpace(textOf(value)))
	return t.Unix(), err
}

const timeLayout = "2006-01-02T15:04:05Z"
