package tcserver

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// order is one keyword of the parameter sorting.
type order struct {
	field     field
	desc      bool
	nullsLast bool
}

// parseSorting reads pairs of a keyword and asc, desc, nullsfirst or nullslast. Without a say nulls are the smallest.
func parseSorting(sorting string) ([]order, error) {
	words := strings.Fields(sorting)
	if len(words)%2 != 0 {
		return nil, newRefusal(http.StatusBadRequest, codeBadRequest, fmt.Sprintf("The sorting %q is not made of pairs of a keyword and asc, desc, nullsfirst or nullslast.", sorting))
	}
	var orders []order
	for i := 0; i < len(words); i += 2 {
		f, ok := indicatorSchema()[strings.ToLower(words[i])]
		if !ok || f.Nested {
			return nil, newRefusal(http.StatusBadRequest, codeBadRequest, fmt.Sprintf("The sorting keyword %q does not exist.", words[i]))
		}
		o := order{field: f}
		switch strings.ToLower(words[i+1]) {
		case "asc", "nullsfirst":
		case "desc":
			o.desc, o.nullsLast = true, true
		case "nullslast":
			o.nullsLast = true
		default:
			return nil, newRefusal(http.StatusBadRequest, codeBadRequest, fmt.Sprintf("The sorting direction %q is not asc, desc, nullsfirst or nullslast.", words[i+1]))
		}
		orders = append(orders, o)
	}
	return orders, nil
}

// ascendingID says whether an order is the one in which rows are kept.
func ascendingID(orders []order) bool {
	return len(orders) == 0 || orders[0].field.Name == "id" && !orders[0].desc
}

// sortKey is the value by which a row is sorted.
type sortKey struct {
	known  bool
	number int64
	text   string
}

// sortBy returns rows in another order. Rows that are equal in all of it follow each other in no order that means
// anything.
func sortBy(rows []*row, orders []order) []*row {
	keys := make([]sortKey, len(rows)*len(orders))
	places := make([]int32, len(rows))
	var needs uint64
	for _, o := range orders {
		needs |= o.field.Needs
	}
	v := &view{want: wantedFields(needs)}
	for i, r := range rows {
		v.showRow(r)
		places[i] = int32(i)
		for j, o := range orders {
			keys[i*len(orders)+j] = keyOf(v, o.field)
		}
	}
	slices.SortFunc(places, func(a, b int32) int {
		for j, o := range orders {
			if c := o.compareKeys(keys[int(a)*len(orders)+j], keys[int(b)*len(orders)+j]); c != 0 {
				return c
			}
		}
		return cmp.Compare(scatterID(rows[a].id), scatterID(rows[b].id))
	})
	sorted := make([]*row, len(rows))
	for i, p := range places {
		sorted[i] = rows[p]
	}
	return sorted
}

func (o order) compareKeys(a, b sortKey) int {
	if a.known != b.known {
		if a.known == o.nullsLast {
			return -1
		}
		return 1
	}
	c := cmp.Or(cmp.Compare(a.number, b.number), strings.Compare(a.text, b.text))
	if o.desc {
		return -c
	}
	return c
}

// keyOf reads the first value of a field.
func keyOf(v *view, f field) (k sortKey) {
	switch {
	case f.Number != nil:
		k.number, k.known = f.Number(v)
	case f.Numbers != nil:
		f.Numbers(v, func(n int64) bool { k.number, k.known = n, true; return false })
	case f.Texts != nil:
		f.Texts(v, func(s string) bool { k.text, k.known = s, true; return false })
	}
	if !k.known {
		return sortKey{}
	}
	return k
}

// scatterID orders ids without pattern.
func scatterID(id int64) uint64 { return mixBits(uint64(id)) }
