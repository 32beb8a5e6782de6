package cluster

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A program asks for the time in the page of code that the kernel gives it, the vDSO. The functions below replace those there, in the
// processes of the test alone: they ask the kernel and add an offset to the time of day. The monotonic clock stays. libfaketime would
// not reach moray, which is linked statically, and the clock of the machine belongs to others too.
var shiftedClocks = map[string]struct{ before, after []byte }{
	"__vdso_clock_gettime": {
		// mov $228,%eax; syscall; test %edi,%edi; jne to ret; movabs offset,%rcx
		[]byte{0xb8, 228, 0, 0, 0, 0x0f, 0x05, 0x85, 0xff, 0x75, 13, 0x48, 0xb9},
		[]byte{0x48, 0x01, 0x0e, 0xc3}, // add %rcx,(%rsi); ret
	},
	"__vdso_gettimeofday": {
		// mov $96,%eax; syscall; test %rdi,%rdi; je to ret; movabs offset,%rcx
		[]byte{0xb8, 96, 0, 0, 0, 0x0f, 0x05, 0x48, 0x85, 0xff, 0x74, 13, 0x48, 0xb9},
		[]byte{0x48, 0x01, 0x0f, 0xc3}, // add %rcx,(%rdi); ret
	},
	"__vdso_time": {
		[]byte{0xb8, 201, 0, 0, 0, 0x0f, 0x05, 0x48, 0xb9}, // mov $201,%eax; syscall; movabs offset,%rcx
		// add %rcx,%rax; test %rdi,%rdi; je to ret; mov %rax,(%rdi); ret
		[]byte{0x48, 0x01, 0xc8, 0x48, 0x85, 0xff, 0x74, 3, 0x48, 0x89, 0x07, 0xc3},
	},
}

// vDSO returns where the one of a process begins and ends.
func vDSO(pid int) (begin, end int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasSuffix(line, "[vdso]\n") {
			_, err := fmt.Sscanf(line, "%x-%x", &begin, &end)
			return begin, end, err
		}
	}
	return 0, 0, fmt.Errorf("process %d has no vDSO", pid)
}

// halted reports whether every thread of a process is stopped outside of its vDSO.
func halted(pid int) bool {
	begin, end, err := vDSO(pid)
	if err != nil {
		return false
	}
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid)) // the pattern is well-formed
	for _, thread := range threads {
		state, err := os.ReadFile(thread + "/status")
		if err != nil || !bytes.Contains(state, []byte("State:\tT")) {
			return false
		}
		text, err := os.ReadFile(thread + "/syscall") // its last word is where the thread is
		words := strings.Fields(string(text))
		if err != nil || len(words) < 3 {
			return false
		}
		at, err := strconv.ParseInt(words[len(words)-1], 0, 64)
		if err != nil || at >= begin && at < end {
			return false
		}
	}
	return len(threads) > 0
}

// shift makes a stopped process see the time of day moved by offset; 0 gives it the functions of the vDSO of this process back.
func shift(pid int, offset time.Duration) error {
	image, err := readVDSO()
	if err != nil {
		return err
	}
	begin, _, err := vDSO(pid)
	if err != nil {
		return err
	}
	file, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		return err
	}
	symbols, err := file.DynamicSymbols()
	if err != nil {
		return err
	}
	memory, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer memory.Close()
	for _, symbol := range symbols {
		clock, ok := shiftedClocks[symbol.Name]
		if !ok {
			continue
		}
		code := binary.LittleEndian.AppendUint64(bytes.Clone(clock.before), uint64(int64(offset/time.Second)))
		code = append(code, clock.after...)
		if uint64(len(code)) > symbol.Size {
			return fmt.Errorf("%s is too short", symbol.Name)
		}
		if offset == 0 {
			code = image[symbol.Value : symbol.Value+symbol.Size]
		}
		if _, err := memory.WriteAt(code, begin+int64(symbol.Value)); err != nil {
			return err
		}
	}
	return nil
}

// readVDSO returns the vDSO of this process.
func readVDSO() ([]byte, error) {
	begin, end, err := vDSO(os.Getpid())
	if err != nil {
		return nil, err
	}
	memory, err := os.Open("/proc/self/mem")
	if err != nil {
		return nil, err
	}
	defer memory.Close()
	image := make([]byte, end-begin)
	_, err = memory.ReadAt(image, begin)
	return image, err
}

// halt stops a process at a place where its vDSO can be replaced.
func halt(t testing.TB, pid int) {
	t.Helper()
	_ = syscall.Kill(pid, syscall.SIGSTOP)
	eventually(t, "the process stops", func() bool {
		for range 20 {
			if halted(pid) || !alive(pid) {
				return true
			}
			time.Sleep(100 * time.Microsecond)
		}
		_ = syscall.Kill(pid, syscall.SIGCONT)
		time.Sleep(100 * time.Microsecond)
		_ = syscall.Kill(pid, syscall.SIGSTOP)
		return false
	})
}

// shiftFamily moves the clock of a process and its children, and of those that it will have.
func shiftFamily(t testing.TB, pid int, offset time.Duration) {
	t.Helper()
	defer func() { signalAll(family(pid), syscall.SIGCONT) }()
	halt(t, pid) // has no more children from here on
	for _, p := range family(pid) {
		halt(t, p)
		if err := shift(p, offset); err != nil && alive(p) {
			t.Fatal(err)
		}
	}
}

// jumps are what the clocks do: they go an hour forward, two back, and are right again.
var jumps = []time.Duration{time.Hour, -time.Hour, 0}

// lastWritten returns what the newest row of the ledger says of its time.
func (b *bed) lastWritten(t testing.TB) time.Time {
	t.Helper()
	millis, err := strconv.ParseInt(b.primary.query(t, "SELECT _mtime FROM "+ledgerBucket+" ORDER BY _id DESC LIMIT 1"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.UnixMilli(millis)
}

// onlyAMD64 leaves out a fault where the vDSO has other code.
func onlyAMD64(t testing.TB) {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skip("clocks are moved on amd64 only")
	}
}

// wantClock fails if a clock is not moved by offset.
func wantClock(t testing.TB, whose string, clock time.Time, offset time.Duration) {
	t.Helper()
	if off := time.Until(clock) - offset; off.Abs() > 5*time.Second {
		t.Errorf("the clock of %s is off by %v from where it shall be", whose, off)
	}
}

// jumpMorays moves the clocks of the servers, which _mtime follows.
func jumpMorays(t testing.TB, b *bed, l *load) time.Duration {
	onlyAMD64(t)
	for _, offset := range jumps {
		for _, m := range b.morays {
			shiftFamily(t, m.server.cmd.Process.Pid, offset)
		}
		l.goOn(t, 500)
		time.Sleep(3 * time.Second)
		l.goOn(t, 500)
		for _, m := range b.morays {
			resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/readyz", m.monitor))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Errorf("with its clock %v off, moray is not ready: %s", offset, resp.Status)
			}
			date, err := http.ParseTime(resp.Header.Get("Date"))
			if err != nil {
				t.Fatal(err)
			}
			wantClock(t, "moray", date, offset)
		}
		wantClock(t, "_mtime", b.lastWritten(t), offset)
	}
	return 0
}

// jumpPostgreSQL moves the clock of the primary, and not that of its standby. _mtime stays.
func jumpPostgreSQL(t testing.TB, b *bed, l *load) time.Duration {
	onlyAMD64(t)
	for _, offset := range jumps {
		shiftFamily(t, b.primary.server.cmd.Process.Pid, offset)
		l.goOn(t, 500)
		time.Sleep(3 * time.Second)
		l.goOn(t, 500)
		seconds, err := strconv.ParseInt(b.primary.query(t, "SELECT extract(epoch FROM clock_timestamp())::bigint"), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		wantClock(t, "PostgreSQL", time.Unix(seconds, 0), offset)
		wantClock(t, "_mtime", b.lastWritten(t), 0)
	}
	return 0
}
