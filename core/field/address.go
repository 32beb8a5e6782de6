package field

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"net/netip"
	"strconv"

	"github.com/kaizengarden/moray/core/jsvalue"
)

// address is an IP address, and how it was spelled.
type address struct {
	netip.Addr
	dotted bool // an IPv6 address that ends in the dotted form of an IPv4 address
}

// parseAddress reads an IP address as the original did: IPv4 as four decimal fields, which may have leading zeros and blanks
// around them; IPv6, of which the last two fields may be in dotted form if the others are ::ffff. There is no prefix length
// and no zone.
func parseAddress(text []byte) (address, bool) {
	if len(text) > 40 {
		return address{}, false
	}
	if bytes.IndexByte(text, ':') < 0 {
		v4, ok := parseDotted(text)
		return address{netip.AddrFrom4(v4), false}, ok
	}
	var v16 [16]byte
	head, tail, open := bytes.Cut(text, []byte("::"))
	n, headDotted, ok := parseFields(v16[:], head)
	if !ok || !open && n != len(v16) {
		return address{}, false
	}
	dotted := headDotted
	if open {
		var rest [16]byte
		m, tailDotted, ok := parseFields(rest[:], tail)
		if !ok || headDotted || n+m > len(v16)-2 {
			return address{}, false
		}
		copy(v16[len(v16)-m:], rest[:m])
		dotted = tailDotted
	}
	a := address{netip.AddrFrom16(v16), dotted}
	return a, !dotted || a.Is4In6()
}

// parseFields reads fields of an IPv6 address, separated by single colons, into dst and returns how many bytes of it they
// fill. The last may be an IPv4 address in dotted form.
func parseFields(dst []byte, text []byte) (n int, dotted, ok bool) {
	for len(text) > 0 {
		field, rest, more := bytes.Cut(text, []byte(":"))
		if more && len(rest) == 0 {
			return 0, false, false
		}
		if bytes.IndexByte(field, '.') >= 0 {
			v4, ok := parseDotted(field)
			if !ok || more || n+4 > len(dst) {
				return 0, false, false
			}
			copy(dst[n:], v4[:])
			return n + 4, true, true
		}
		value, err := strconv.ParseUint(string(field), 16, 16)
		if err != nil || n+2 > len(dst) {
			return 0, false, false
		}
		binary.BigEndian.PutUint16(dst[n:], uint16(value))
		n += 2
		text = rest
	}
	return n, false, true
}

// parseDotted reads an IPv4 address.
func parseDotted(text []byte) (v4 [4]byte, ok bool) {
	for i := range v4 {
		field, rest, more := bytes.Cut(text, []byte("."))
		if more != (i < len(v4)-1) {
			return v4, false
		}
		value, err := strconv.ParseUint(string(bytes.TrimSpace(field)), 10, 8)
		if err != nil {
			return v4, false
		}
		v4[i] = byte(value)
		text = rest
	}
	return v4, true
}

// appendTo appends a in its normal form: lower case, no leading zeros, the longest run of zero fields as "::".
func (a address) appendTo(dst []byte) []byte {
	if a.Is4() || a.dotted {
		return a.AppendTo(dst) // net/netip writes ::ffff:1.2.3.4 whatever the spelling was
	}
	v16 := a.As16()
	var fields [8]uint16
	for i := range fields {
		fields[i] = binary.BigEndian.Uint16(v16[2*i:])
	}
	start, end := longestZeros(fields)
	for i := 0; i < len(fields); i++ {
		if i == start && end > start {
			dst = append(dst, "::"...)
			i = end - 1
			continue
		}
		if i > 0 && i != end {
			dst = append(dst, ':')
		}
		dst = strconv.AppendUint(dst, uint64(fields[i]), 16)
	}
	return dst
}

// longestZeros returns the longest run of zeros, of equal ones the first; start equals end if there is none. Unlike RFC 5952
// the original abbreviates a single zero, too.
func longestZeros(fields [8]uint16) (start, end int) {
	run := 0
	for i, f := range fields {
		if f != 0 {
			run = i + 1
			continue
		}
		if i+1-run > end-start {
			start, end = run, i+1
		}
	}
	return start, end
}

// ipOf returns the IP address that a JSON value stands for: a string, or a number for an IPv4 address.
func ipOf(v jsvalue.Value) (address, bool) {
	switch v.Kind() {
	case jsvalue.KindString:
		var buf [48]byte
		return parseAddress(v.AppendText(buf[:0]))
	case jsvalue.KindNumber:
		n, err := strconv.ParseUint(string(v), 10, 32)
		var v4 [4]byte
		binary.BigEndian.PutUint32(v4[:], uint32(n))
		return address{netip.AddrFrom4(v4), false}, err == nil
	}
	return address{}, false
}

// network is an address whose host bits are zero, and the number of its other bits.
type network struct {
	address
	bits int
}

// parseNetwork reads <address>/<bits> and clears the host bits.
func parseNetwork(text []byte) (network, bool) {
	host, length, _ := bytes.Cut(text, []byte("/"))
	a, ok := parseAddress(host)
	blanks := len(bytes.Trim(host, "0123456789abcdefABCDEF:.")) > 0 // not tolerated here
	bits, err := strconv.ParseUint(string(length), 10, 8)
	if !ok || blanks || err != nil || a.dotted && bits < 96 {
		return network{}, false
	}
	prefix, err := a.Prefix(int(bits))
	return network{address{prefix.Addr(), a.dotted}, int(bits)}, err == nil
}

// compare orders networks as PostgreSQL does: IPv4 first, then by address, then the shorter prefix first.
func (n network) compare(other network) int {
	return cmp.Or(n.Compare(other.Addr), cmp.Compare(n.bits, other.bits))
}

// appendTo appends n in its normal form.
func (n network) appendTo(dst []byte) []byte {
	return strconv.AppendInt(append(n.address.appendTo(dst), '/'), int64(n.bits), 10)
}

// networkOf returns the network that a JSON value, a string, stands for.
func networkOf(v jsvalue.Value) (network, bool) {
	if v.Kind() != jsvalue.KindString {
		return network{}, false
	}
	var buf [64]byte
	return parseNetwork(v.AppendText(buf[:0]))
}
