package jsvalue

import (
	"hash/crc32"
	"unicode/utf8"
)

// Etag returns the etag of an object's text: CRC-32 (IEEE) fed with the low eight bits of each UTF-16 unit, in eight
// upper-case hexadecimal digits. For ASCII that is the CRC-32 of the bytes. Lone surrogates are expected in WTF-8.
func Etag(text []byte) string {
	ascii := 0
	for ascii < len(text) && text[ascii] < utf8.RuneSelf {
		ascii++
	}
	sum := crc32.ChecksumIEEE(text[:ascii])
	if ascii < len(text) {
		sum = crc32.Update(sum, crc32.IEEETable, AppendLowBytes(make([]byte, 0, len(text)-ascii), text[ascii:]))
	}
	const digits = "0123456789ABCDEF"
	var etag [8]byte
	for i := range etag {
		etag[i] = digits[sum>>(28-4*i)&0xF]
	}
	return string(etag[:])
}

// AppendLowBytes appends the low eight bits of each UTF-16 unit of text, which is UTF-8 or WTF-8. The checksums of the
// original's JavaScript walk strings this way.
func AppendLowBytes(dst, text []byte) []byte {
	for i := 0; i < len(text); {
		if text[i] < utf8.RuneSelf {
			dst = append(dst, text[i])
			i++
			continue
		}
		if isSurrogate(text, i) {
			dst = append(dst, text[i+1]<<6|text[i+2]&0x3F)
			i += 3
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		i += size
		if r >= 1<<16 { // a pair of surrogates
			r -= 1 << 16
			dst = append(dst, byte(r>>10), byte(r))
			continue
		}
		dst = append(dst, byte(r))
	}
	return dst
}
