package cluster

import (
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// checkAddress fails unless an address is one host and one port and nothing that a driver could take for anything else.
func checkAddress(t *testing.T, text string) {
	t.Helper()
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		t.Fatalf("address %q: %v", text, err)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		t.Fatalf("address %q: port %q", text, port)
	}
	if !regexp.MustCompile(`^[A-Za-z0-9._-]+$`).MatchString(host) && net.ParseIP(host) == nil {
		t.Fatalf("address %q: host %q", text, host)
	}
}

func FuzzManateeState(f *testing.F) {
	f.Add([]byte(`{"generation":1,"primary":{"pgUrl":"tcp://postgres@10.0.0.1:5432/postgres"},"sync":{"pgUrl":"tcp://10.0.0.2"},"async":[],"freeze":false}`))
	f.Add([]byte(`{"primary":{"pgUrl":"tcp://[::1]:1"},"freeze":{}}`))
	f.Add([]byte(`{"primary":{"pgUrl":"tcp://a%00b,c:5"}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		found, err := parseManatee(text)
		if err != nil {
			return
		}
		checkAddress(t, found.primary)
		if found.standby != "" {
			checkAddress(t, found.standby)
		}
	})
}

func FuzzCandidates(f *testing.F) {
	f.Add("10.0.0.9:5439:12345-0000000012\n10.0.0.8-0000000003\nlock")
	f.Add("::1-1\n-2\n-")
	f.Fuzz(func(t *testing.T, names string) {
		first, ok := firstCandidate(strings.Split(names, "\n"))
		if !ok {
			return
		}
		if found, err := parseCandidate(first); err == nil {
			checkAddress(t, found)
		}
	})
}

func FuzzPatroni(f *testing.F) {
	recording, err := os.ReadFile("testdata/patroni/kill-pg.txt")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(recording)) {
		if at := strings.IndexAny(line, "{["); at >= 0 {
			f.Add([]byte(line[at:]))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if primary, timeline, err := parseMember(text); err == nil {
			checkAddress(t, primary)
			if timeline >= 1<<32 {
				t.Errorf("timeline %d", timeline)
			}
		}
		if next := timelineAfter(text); next < 1 || next > 1<<32 {
			t.Errorf("timeline %d", next)
		}
		standbyOf(text, "n1")
		validMember(string(text))
	})
}
