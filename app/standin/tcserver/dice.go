package tcserver

// mixBits turns a number into one that shows no pattern (the finalizer of SplitMix64).
func mixBits(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// dice is a source of chance that costs nothing to make, so that any part of any row can be made again by itself.
type dice uint64

func (d *dice) rollBits() uint64 {
	*d++
	return mixBits(uint64(*d))
}

// rollBelow is a number from 0 to n-1.
func (d *dice) rollBelow(n int) int { return int(d.rollBits() % uint64(n)) }

// rollPercent is true in that many of a hundred cases.
func (d *dice) rollPercent(p float64) bool { return float64(d.rollBits()>>11)/(1<<53)*100 < p }

func pickOne[T any](d *dice, list []T) T { return list[d.rollBelow(len(list))] }
