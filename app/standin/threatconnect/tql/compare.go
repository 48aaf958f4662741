package tql

import (
	"bytes"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// numberTest compiles the comparison of anything that is kept as a number.
func numberTest(t *Term, typ Type, now time.Time) (func(int64) bool, bool, error) {
	values := make([]int64, len(t.Values))
	relative := false
	for i, v := range t.Values {
		var err error
		var moving bool
		if values[i], moving, err = v.number(typ, now); err != nil {
			return nil, false, err
		}
		relative = relative || moving
	}
	if typ == Boolean && t.Op != Equal && t.Op != NotEqual && t.Op != In {
		return nil, false, t.Keyword.faultf("%s is true or false and cannot be compared by %s", t.Keyword.Name, t.Op)
	}
	test := compareNumber(t.Op, values)
	if test == nil {
		return nil, false, t.Keyword.faultf("%s holds no text and cannot be compared by %s", t.Keyword.Name, strings.ToUpper(string(t.Op)))
	}
	return test, relative, nil
}

func compareNumber(op Op, values []int64) func(int64) bool {
	first := values[0]
	switch op {
	case Equal, NotEqual:
		return func(n int64) bool { return n == first }
	case Greater:
		return func(n int64) bool { return n > first }
	case Less:
		return func(n int64) bool { return n < first }
	case GreaterOrEqual:
		return func(n int64) bool { return n >= first }
	case LessOrEqual:
		return func(n int64) bool { return n <= first }
	case In:
		set := make(map[int64]bool, len(values))
		for _, v := range values {
			set[v] = true
		}
		return func(n int64) bool { return set[n] }
	}
	return nil
}

func (v Value) number(typ Type, now time.Time) (n int64, relative bool, err error) {
	switch typ {
	case Date:
		return v.date(now)
	case Boolean:
		if v.kind != word {
			return 0, false, v.faultf("expected true or false but found %s", v.Text)
		}
		if strings.EqualFold(v.Text, "true") {
			n = 1
		}
		return n, false, nil
	case Decimal:
		f, err := strconv.ParseFloat(v.Text, 64)
		if v.kind != number || err != nil || math.Abs(f) > 1e15 {
			return 0, false, v.faultf("expected a number but found %s", v.Text)
		}
		return int64(math.Round(100 * f)), false, nil
	}
	n, err = strconv.ParseInt(v.Text, 10, 64)
	if v.kind != number || err != nil {
		return 0, false, v.faultf("expected a whole number but found %s", v.Text)
	}
	return n, false, nil
}

// textTest compiles the comparison of text. The comparisons by size go by the bytes.
func textTest(t *Term, typ Type, fold bool) (func([]byte) bool, error) {
	values := make([][]byte, len(t.Values))
	for i, v := range t.Values {
		if v.kind != quoted {
			return nil, v.faultf("%s holds text: put %s into quotes", t.Keyword.Name, v.Text)
		}
		values[i] = []byte(v.Text)
		if fold {
			values[i] = bytes.ToLower(values[i])
		}
	}
	if typ == CIDR && (t.Op == Equal || t.Op == NotEqual || t.Op == In) {
		return blockTest(t.Values)
	}
	test := compareText(t.Op, values)
	if fold {
		return func(b []byte) bool { return test(bytes.ToLower(b)) }, nil
	}
	return test, nil
}

func compareText(op Op, values [][]byte) func([]byte) bool {
	first := values[0]
	switch op {
	case Greater:
		return func(b []byte) bool { return bytes.Compare(b, first) > 0 }
	case Less:
		return func(b []byte) bool { return bytes.Compare(b, first) < 0 }
	case GreaterOrEqual:
		return func(b []byte) bool { return bytes.Compare(b, first) >= 0 }
	case LessOrEqual:
		return func(b []byte) bool { return bytes.Compare(b, first) <= 0 }
	case Like:
		pieces := bytes.Split(first, []byte("%"))
		return func(b []byte) bool { return like(b, pieces) }
	case Contains:
		return func(b []byte) bool { return bytes.Contains(b, first) }
	case StartsWith:
		return func(b []byte) bool { return bytes.HasPrefix(b, first) }
	case EndsWith:
		return func(b []byte) bool { return bytes.HasSuffix(b, first) }
	}
	set := make(map[string]bool, len(values))
	for _, v := range values {
		set[string(v)] = true
	}
	return func(b []byte) bool { return set[string(b)] }
}

// like matches the pieces between the percent signs of a pattern, from left to right.
func like(b []byte, pieces [][]byte) bool {
	if !bytes.HasPrefix(b, pieces[0]) {
		return false
	}
	b = b[len(pieces[0]):]
	last := len(pieces) - 1
	if last == 0 {
		return len(b) == 0
	}
	for _, piece := range pieces[1:last] {
		at := bytes.Index(b, piece)
		if at < 0 {
			return false
		}
		b = b[at+len(piece):]
	}
	return bytes.HasSuffix(b, pieces[last])
}

// blockTest says whether an address lies in one of the blocks.
func blockTest(values []Value) (func([]byte) bool, error) {
	blocks := make([]netip.Prefix, len(values))
	for i, v := range values {
		var err error
		if blocks[i], err = netip.ParsePrefix(v.Text); err != nil {
			return nil, v.faultf("%q is not a block such as 192.0.2.0/24", v.Text)
		}
	}
	return func(b []byte) bool {
		addr, err := netip.ParseAddr(string(b))
		for _, block := range blocks {
			if err == nil && block.Contains(addr) {
				return true
			}
		}
		return false
	}, nil
}
