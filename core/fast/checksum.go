package fast

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"

	"github.com/kaizengarden/moray/core/jsvalue"
)

// checksum returns the checksum of a payload. What it returns for text that is not UTF-8 has no meaning: such a payload
// is refused for its text.
func (v Version) checksum(payload []byte) uint16 {
	if v == V1 {
		return bits.ReverseBytes16(updateLowBytes(0, payload))
	}
	return arc.update(0, payload)
}

// crcTables are the tables of a CRC of 16 bits for sixteen bytes at a time: t[k][b] is the register after the byte b and
// k zero bytes.
//
// Both checksums run through the same loop, in which the next byte meets the low byte of the register. For XMODEM, which
// takes the high byte, the register is kept with its bytes swapped.
type crcTables [16][256]uint16

var (
	arc = newTables(func(b uint16) uint16 { // polynomial 0x8005, reflected
		for range 8 {
			b = b>>1 ^ 0xA001*(b&1)
		}
		return b
	})
	xmodem = newTables(func(b uint16) uint16 { // polynomial 0x1021
		b <<= 8
		for range 8 {
			b = b<<1 ^ 0x1021*(b>>15)
		}
		return bits.ReverseBytes16(b)
	})
)

func newTables(register func(b uint16) uint16) *crcTables {
	t := new(crcTables)
	for b := range t[0] {
		t[0][b] = register(uint16(b))
	}
	for k := 1; k < len(t); k++ {
		for b, r := range t[k-1] {
			t[k][b] = r>>8 ^ t[0][byte(r)]
		}
	}
	return t
}

func (t *crcTables) update(r uint16, text []byte) uint16 {
	for len(text) >= 16 {
		p := (*[16]byte)(text)
		r = t[15][p[0]^byte(r)] ^ t[14][p[1]^byte(r>>8)] ^
			t[13][p[2]] ^ t[12][p[3]] ^ t[11][p[4]] ^ t[10][p[5]] ^ t[9][p[6]] ^ t[8][p[7]] ^
			t[7][p[8]] ^ t[6][p[9]] ^ t[5][p[10]] ^ t[4][p[11]] ^ t[3][p[12]] ^ t[2][p[13]] ^ t[1][p[14]] ^ t[0][p[15]]
		text = text[16:]
	}
	for _, b := range text {
		r = r>>8 ^ t[0][byte(r)^b]
	}
	return r
}

// updateLowBytes is xmodem.update over the low bytes of the UTF-16 units of text, which are at most as many as its bytes.
func updateLowBytes(r uint16, text []byte) uint16 {
	ascii := asciiPrefix(text)
	r = xmodem.update(r, text[:ascii])
	var piece [512]byte
	for text = text[ascii:]; len(text) > 0; {
		n := min(len(text), len(piece))
		for back := 0; back < utf8.UTFMax-1 && n < len(text) && !utf8.RuneStart(text[n]); back++ {
			n-- // not in the middle of a character
		}
		r = xmodem.update(r, jsvalue.AppendLowBytes(piece[:0], text[:n]))
		text = text[n:]
	}
	return r
}

// asciiPrefix returns the number of bytes before the first one outside ASCII, or a few less.
func asciiPrefix(text []byte) int {
	n := 0
	for n+8 <= len(text) && binary.LittleEndian.Uint64(text[n:])&0x8080808080808080 == 0 {
		n += 8
	}
	return n
}
