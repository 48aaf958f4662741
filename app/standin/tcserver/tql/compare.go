package tql

import (
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// textOps compare text alone.
var textOps = []Op{Like, Contains, StartsWith, EndsWith}

// numberTest compiles the comparison of anything that is kept as a number, and says whether it depends on now.
func numberTest(t *Term, typ Type, now time.Time) (test func(int64) bool, relative bool, err error) {
	if slices.Contains(textOps, t.Op) {
		return nil, false, t.Keyword.errorAt("%s holds no text and cannot be compared by %s", t.Keyword.Name, strings.ToUpper(string(t.Op)))
	}
	if typ == Boolean && t.Op != Equal && t.Op != NotEqual && t.Op != In {
		return nil, false, t.Keyword.errorAt("%s is true or false and cannot be compared by %s", t.Keyword.Name, t.Op)
	}
	values := make([]int64, len(t.Values))
	for i, v := range t.Values {
		var moving bool
		if values[i], moving, err = v.parseNumber(typ, now); err != nil {
			return nil, false, err
		}
		relative = relative || moving
	}
	return compareNumber(t.Op, values), relative, nil
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
	}
	set := make(map[int64]bool, len(values))
	for _, v := range values {
		set[v] = true
	}
	return func(n int64) bool { return set[n] }
}

func (v Value) parseNumber(typ Type, now time.Time) (n int64, relative bool, err error) {
	switch typ {
	case Date:
		return v.parseDate(now)
	case Boolean:
		if v.kind != word {
			return 0, false, v.errorAt("expected true or false but found %s", v.Text)
		}
		if strings.EqualFold(v.Text, "true") {
			n = 1
		}
		return n, false, nil
	case Decimal:
		f, err := strconv.ParseFloat(v.Text, 64)
		if v.kind != number || err != nil || math.Abs(f) > 1e15 {
			return 0, false, v.errorAt("expected a number but found %s", v.Text)
		}
		return int64(math.Round(100 * f)), false, nil
	}
	n, err = strconv.ParseInt(v.Text, 10, 64)
	if v.kind != number || err != nil {
		return 0, false, v.errorAt("expected a whole number but found %s", v.Text)
	}
	return n, false, nil
}

// textTest compiles the comparison of text. The comparisons by size go by the bytes.
func textTest(t *Term, typ Type, fold bool) (func(string) bool, error) {
	values := make([]string, len(t.Values))
	for i, v := range t.Values {
		if v.kind != quoted {
			return nil, v.errorAt("%s holds text: put %s into quotes", t.Keyword.Name, v.Text)
		}
		values[i] = v.Text
		if fold {
			values[i] = strings.ToLower(values[i])
		}
	}
	if typ == CIDR && (t.Op == Equal || t.Op == NotEqual || t.Op == In) {
		return blockTest(t.Values)
	}
	test := compareText(t.Op, values)
	if fold {
		return func(s string) bool { return test(strings.ToLower(s)) }, nil
	}
	return test, nil
}

func compareText(op Op, values []string) func(string) bool {
	first := values[0]
	switch op {
	case Greater:
		return func(s string) bool { return s > first }
	case Less:
		return func(s string) bool { return s < first }
	case GreaterOrEqual:
		return func(s string) bool { return s >= first }
	case LessOrEqual:
		return func(s string) bool { return s <= first }
	case Like:
		pieces := strings.Split(first, "%")
		return func(s string) bool { return matchLike(s, pieces) }
	case Contains:
		return func(s string) bool { return strings.Contains(s, first) }
	case StartsWith:
		return func(s string) bool { return strings.HasPrefix(s, first) }
	case EndsWith:
		return func(s string) bool { return strings.HasSuffix(s, first) }
	}
	set := make(map[string]bool, len(values))
	for _, v := range values {
		set[v] = true
	}
	return func(s string) bool { return set[s] }
}

// matchLike matches the pieces between the percent signs of a pattern, from left to right.
func matchLike(s string, pieces []string) bool {
	if !strings.HasPrefix(s, pieces[0]) {
		return false
	}
	s = s[len(pieces[0]):]
	last := len(pieces) - 1
	if last == 0 {
		return len(s) == 0
	}
	for _, piece := range pieces[1:last] {
		at := strings.Index(s, piece)
		if at < 0 {
			return false
		}
		s = s[at+len(piece):]
	}
	return strings.HasSuffix(s, pieces[last])
}

// blockTest says whether an address lies in one of the blocks.
func blockTest(values []Value) (func(string) bool, error) {
	blocks := make([]netip.Prefix, len(values))
	for i, v := range values {
		var err error
		if blocks[i], err = netip.ParsePrefix(v.Text); err != nil {
			return nil, v.errorAt("%q is not a block such as 192.0.2.0/24", v.Text)
		}
	}
	return func(s string) bool {
		addr, err := netip.ParseAddr(s)
		for _, block := range blocks {
			if err == nil && block.Contains(addr) {
				return true
			}
		}
		return false
	}, nil
}
