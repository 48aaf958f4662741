package tcserver

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Places of the types in the table of types.
const (
	typeAddress = iota
	typeEmail
	typeFile
	typeHost
	typeURL
	typeASN
	typeCIDR
	typeSubject
	typeHashtag
	typeMutex
	typeRegistry
	typeUserAgent
)

// weights are the shares of the types in a thousand, close to those of real feeds.
var weights = []int{190, 20, 170, 290, 250, 12, 25, 14, 5, 6, 12, 6}

// value is what an indicator is about: the parts of its summary.
type value struct {
	typ   int
	parts [3]string
}

func (v value) joinParts() string {
	switch v.typ {
	case typeFile:
		var present []string
		for _, hash := range v.parts {
			if hash != "" {
				present = append(present, hash)
			}
		}
		return strings.Join(present, " : ")
	case typeRegistry:
		return strings.Join(v.parts[:], " : ")
	}
	return v.parts[0]
}

// Values with the same number differ from all others of their type: the number is part of each of them.

func newValue(d *dice, n int) value {
	v := value{typ: pickType(d)}
	switch v.typ {
	case typeAddress:
		v.parts[0] = addressValue(d, n)
	case typeEmail:
		v.parts[0] = pickOne(d, hostWords) + "." + base36(n) + "@" + pickOne(d, hostWords) + pickOne(d, hostEnds)
	case typeFile:
		v.parts = fileValue(d)
	case typeHost:
		v.parts[0] = hostValue(d, n)
	case typeURL:
		v.parts[0] = urlValue(d, n)
	case typeASN:
		v.parts[0] = "ASN" + strconv.Itoa(4_200_000_000+n) // the numbers for private use
	case typeCIDR:
		v.parts[0] = blockValue(d, n)
	case typeSubject:
		v.parts[0] = pickOne(d, subjects) + " " + strconv.Itoa(n)
	case typeHashtag:
		v.parts[0] = "#" + pickOne(d, familyFirst) + pickOne(d, familySecond) + strconv.Itoa(n)
	case typeMutex:
		v.parts[0] = `Global\` + pickOne(d, hostWords) + "-" + strconv.FormatUint(mixBits(uint64(n)), 16)
	case typeRegistry:
		v.parts = registryValue(d, n)
	case typeUserAgent:
		v.parts[0] = "Mozilla/5.0 (compatible; " + pickOne(d, familyFirst) + "/1." + strconv.Itoa(n) + ")"
	}
	return v
}

func pickType(d *dice) int {
	left := d.rollBelow(1000)
	for typ, w := range weights {
		if left -= w; left < 0 {
			return typ
		}
	}
	return typeHost
}

func base36(n int) string { return strconv.FormatInt(int64(n), 36) }

// addressValue takes the blocks for documentation first, then private space.
func addressValue(d *dice, n int) string {
	if d.rollPercent(4) {
		return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(d.rollBelow(256)), 0, 0, 0, 0, 0, 0, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n), 1}).String()
	}
	if blocks := [][3]byte{{192, 0, 2}, {198, 51, 100}, {203, 0, 113}}; n < 3*190 {
		b := blocks[n%3]
		return netip.AddrFrom4([4]byte{b[0], b[1], b[2], byte(n/3 + 1)}).String()
	}
	if n < 1<<24 {
		host := uint32(n) * 0x9e3779b1 & 0xffffff // every address of 10.0.0.0/8 once, in no order
		return netip.AddrFrom4([4]byte{10, byte(host >> 16), byte(host >> 8), byte(host)}).String()
	}
	return netip.AddrFrom4([4]byte{240 + byte(n>>24)&7, byte(n >> 16), byte(n >> 8), byte(n)}).String()
}

func blockValue(d *dice, n int) string {
	if n >= 1<<20 || d.rollPercent(25) {
		return fmt.Sprintf("2001:db8:%x:%x:0:0:0:0/64", n>>16, n&0xffff)
	}
	block := uint32(n) * 0x9e3779b1 & 0xfffff << 4
	return netip.AddrFrom4([4]byte{10, byte(block >> 16), byte(block >> 8), byte(block)}).String() + "/28"
}

func fileValue(d *dice) (hashes [3]string) {
	one := d.rollBelow(3)
	for i, length := range []int{32, 40, 64} {
		if i == one || d.rollPercent(9) {
			hashes[i] = hexOf(d.rollBits(), length)
		}
	}
	return hashes
}

// hexOf is a hash that belongs to nothing.
func hexOf(seed uint64, length int) string {
	const digits = "0123456789ABCDEF"
	d := dice(seed)
	out := make([]byte, length)
	var bits uint64
	for i := range out {
		if i%16 == 0 {
			bits = d.rollBits()
		}
		out[i] = digits[bits&15]
		bits >>= 4
	}
	return string(out)
}

func hostValue(d *dice, n int) string {
	return pickOne(d, hostWords) + "-" + pickOne(d, hostWords) + "-" + base36(n) + pickOne(d, hostEnds)
}

func urlValue(d *dice, n int) string {
	scheme, port := "http://", ""
	if d.rollPercent(40) {
		scheme = "https://"
	}
	if d.rollPercent(7) {
		port = ":" + strconv.Itoa(8000+d.rollBelow(1000))
	}
	return scheme + pickOne(d, hostWords) + "." + pickOne(d, hostWords) + pickOne(d, hostEnds) + port + pickOne(d, urlPaths) + "?id=" + base36(n)
}

func registryValue(d *dice, n int) [3]string {
	key, typ := pickOne(d, registryKeys), pickOne(d, valueTypes)
	switch d.rollBelow(4) {
	case 0:
		return [3]string{key + `\` + base36(n), "", typ}
	case 1:
		return [3]string{key + `\` + base36(n), " ", typ}
	}
	return [3]string{key, pickOne(d, hostWords) + base36(n), typ}
}

// respellValue is the same observable as another owner may have written it.
func (v value) respellValue(d *dice) value {
	switch v.typ {
	case typeHost:
		if d.rollPercent(30) {
			v.parts[0] = strings.ToUpper(v.parts[0])
		} else if d.rollPercent(30) && v.parts[0] != "" && !strings.HasSuffix(v.parts[0], ".") {
			v.parts[0] += "."
		}
	case typeURL:
		if scheme, rest, ok := strings.Cut(v.parts[0], "://"); ok && d.rollPercent(30) {
			v.parts[0] = strings.ToUpper(scheme) + "://" + rest
		}
	case typeEmail:
		if d.rollPercent(30) {
			v.parts[0] = strings.ToUpper(v.parts[0])
		}
	case typeFile:
		return v.dropHashes(d)
	}
	return v
}

func (v value) dropHashes(d *dice) value {
	if d.rollPercent(40) {
		for i := range v.parts {
			v.parts[i] = strings.ToLower(v.parts[i])
		}
	}
	if d.rollPercent(40) && v.parts[2] != "" {
		v.parts[0], v.parts[1] = "", ""
	}
	return v
}
