package field

import (
	"encoding/hex"
	"strconv"

	"github.com/kaizengarden/moray/core/jsvalue"
)

// parseMAC reads a MAC address: twelve hexadecimal digits, or six fields of one or two of them, separated by colons or by
// hyphens throughout.
func parseMAC(text []byte) (mac [6]byte, ok bool) {
	if len(text) == 12 {
		var bare [6]byte
		if _, err := hex.Decode(bare[:], text); err == nil {
			return bare, true
		}
	}
	var separator byte
	for i := range mac {
		if i > 0 {
			if len(text) == 0 || text[0] != ':' && text[0] != '-' || i > 1 && text[0] != separator {
				return mac, false
			}
			separator = text[0]
			text = text[1:]
		}
		digits := 0
		for ; digits < min(2, len(text)); digits++ {
			digit, ok := hexDigit(text[digits])
			if !ok {
				break
			}
			mac[i] = mac[i]<<4 | digit
		}
		if digits == 0 {
			return mac, false
		}
		text = text[digits:]
	}
	return mac, len(text) == 0
}

func hexDigit(c byte) (digit byte, ok bool) {
	switch {
	case c-'0' <= 9:
		return c - '0', true
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10, true
	}
	return 0, false
}

// appendMAC appends mac in its normal form: six pairs of lower-case digits, separated by colons.
func appendMAC(dst []byte, mac [6]byte) []byte {
	for i := range mac {
		if i > 0 {
			dst = append(dst, ':')
		}
		dst = hex.AppendEncode(dst, mac[i:i+1])
	}
	return dst
}

// macOf returns the MAC address that a JSON value stands for: a string, or a number of 48 bits.
func macOf(v jsvalue.Value) (mac [6]byte, ok bool) {
	switch v.Kind() {
	case jsvalue.KindString:
		var buf [32]byte
		return parseMAC(v.AppendText(buf[:0]))
	case jsvalue.KindNumber:
		n, err := strconv.ParseUint(string(v), 10, 48)
		for i := range mac {
			mac[i] = byte(n >> (40 - 8*i))
		}
		return mac, err == nil
	}
	return mac, false
}
