package monitor

import (
	"bytes"
	"os"
	"runtime/metrics"
	"strconv"
)

// memory is how much memory the process has, in bytes.
type memory struct{ resident, heapTotal, heapUsed uint64 }

func readMemory() memory {
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(samples)
	used := samples[0].Value.Uint64()
	return memory{
		resident:  readResident(),
		heapTotal: used + samples[1].Value.Uint64() + samples[2].Value.Uint64(),
		heapUsed:  used,
	}
}

// readResident returns 0 where there is no /proc.
func readResident() uint64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(text)
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseUint(string(fields[1]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * uint64(os.Getpagesize())
}
