package tql

import "time"

// Has makes the Related of a field: whether one of the related objects that each yields matches the nested query.
func Has[T, U any](each func(T, func(U) bool), schema func() Schema[U]) func(Node, time.Time) (func(T) bool, bool, error) {
	return func(inner Node, now time.Time) (func(T) bool, bool, error) {
		q, err := schema().Compile(inner, now)
		if err != nil {
			return nil, false, err
		}
		return func(x T) (found bool) {
			each(x, func(u U) bool { found = q.Match(u); return !found })
			return found
		}, q.Relative, nil
	}
}

// HasAll makes the Related of a field of which every term, and every value of a list, has to be met by some related object.
func HasAll[T, U any](each func(T, func(U) bool), schema func() Schema[U]) func(Node, time.Time) (func(T) bool, bool, error) {
	var has func(n Node, now time.Time) (func(T) bool, bool, error)
	has = func(n Node, now time.Time) (func(T) bool, bool, error) {
		left, right, ok := splitSides(n)
		if !ok {
			return Has(each, schema)(n, now)
		}
		a, relA, err := has(left, now)
		if err != nil {
			return nil, false, err
		}
		b, relB, err := has(right, now)
		if _, either := n.(*Or); either {
			return func(x T) bool { return a(x) || b(x) }, relA || relB, err
		}
		return func(x T) bool { return a(x) && b(x) }, relA || relB, err
	}
	return has
}

// splitSides takes a list of wanted values apart as if AND joined them.
func splitSides(n Node) (left, right Node, ok bool) {
	switch n := n.(type) {
	case *And:
		return n.Left, n.Right, true
	case *Or:
		return n.Left, n.Right, true
	case *Term:
		if n.Op != In || n.Not || len(n.Values) < 2 {
			return nil, nil, false
		}
		first, rest := *n, *n
		first.Values, rest.Values = n.Values[:1], n.Values[1:]
		return &first, &rest, true
	}
	return nil, nil, false
}
