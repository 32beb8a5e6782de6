package js

import (
	"fmt"
	"time"

	"github.com/dop251/goja"
)

// The modules that triggers may require: crc with the functions of its release 0.2.1, and microtime. What a trigger calls are the
// functions in prelude.js; these are what those call.

// crc is a checksum over bytes, of which it takes the low 8 bits of what it is given.
type crc struct {
	start, end uint32
	table      [256]uint32
	width      int
	reflected  bool
}

func newCRC(width int, reflected bool, poly, start, end uint32) *crc {
	c := &crc{start: start, end: end, width: width, reflected: reflected}
	top := uint32(1) << (width - 1)
	for i := range c.table {
		r := uint32(i)
		if !reflected {
			r <<= width - 8
		}
		for range 8 {
			switch {
			case reflected && r&1 != 0:
				r = r>>1 ^ poly
			case reflected:
				r >>= 1
			case r&top != 0:
				r = r<<1 ^ poly
			default:
				r <<= 1
			}
		}
		c.table[i] = r & (top<<1 - 1)
	}
	return c
}

// The checksums. Their polynomials are written with the lowest power at the left where they are reflected.
var (
	crc8      = newCRC(8, true, 0xb1, 0, 0)
	crcArc    = newCRC(16, true, 0xa001, 0, 0)
	crcModbus = newCRC(16, true, 0xa001, 0xffff, 0)
	crc16     = newCRC(16, false, 0x1021, 0, 0)
	fcs16     = newCRC(16, true, 0x8408, 0xffff, 0xffff)
	crc32     = newCRC(32, true, 0xedb88320, 0xffffffff, 0xffffffff)
)

func (c *crc) add(sum uint32, b byte) uint32 {
	if c.reflected {
		return sum>>8 ^ c.table[byte(sum)^b]
	}
	mask := uint32(1)<<c.width - 1
	return sum<<8&mask ^ c.table[byte(sum>>(c.width-8))^b]
}

// natives returns what prelude.js gets of the host.
func natives(vm *goja.Runtime) *goja.Object {
	set := func(o *goja.Object, name string, value any) {
		if err := o.Set(name, value); err != nil {
			panic(err) // a plain object takes any member
		}
	}
	all := vm.NewObject()
	for name, c := range map[string]*crc{
		"crc8": crc8, "crcArc": crcArc, "crcModbus": crcModbus, "crc16": crc16, "fcs16": fcs16, "crc32": crc32,
	} {
		o := vm.NewObject()
		set(o, "start", int32(c.start))
		set(o, "add", func(sum, b int32) int32 { return int32(c.add(uint32(sum), byte(b))) })
		set(o, "end", func(sum int32) int32 { return int32(uint32(sum) ^ c.end) })
		set(o, "of", func(call goja.FunctionCall) goja.Value { return vm.ToValue(c.of(call.Argument(0))) })
		set(all, name, o)
	}
	set(all, "hex", func(n, bits int32) string { return fmt.Sprintf("%0*X", bits/4, uint64(uint32(n))&(1<<bits-1)) })
	set(all, "microseconds", func() int64 { return time.Now().UnixMicro() })
	return all
}

// of is the checksum of a string, over the low 8 bits of each of its UTF-16 units.
func (c *crc) of(v goja.Value) int32 {
	sum := c.start
	if s, ok := v.(goja.String); ok {
		for i := range s.Length() {
			sum = c.add(sum, byte(s.CharAt(i)))
		}
	}
	return int32(sum ^ c.end)
}
