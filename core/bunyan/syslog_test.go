package bunyan_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kaizengarden/moray/core/bunyan"
)

func TestFacility(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]int{
		"user": 1, "mail": 2, "daemon": 3, "auth": 4, "syslog": 5, "lpr": 6, "news": 7, "uucp": 8, "authpriv": 10, "ftp": 11,
		"cron": 15, "local0": 16, "local7": 23, "kern": 1, "local8": 1, "local": 1, "local00": 1, "": 1, "nonsense": 1,
	} {
		if got := bunyan.Facility(name); got != want {
			t.Errorf("Facility(%q) = %d, want %d", name, got, want)
		}
	}
}

// start runs s until the returned function is called, which waits for its end.
func start(t *testing.T, s *bunyan.Syslog) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

func syslogOptions(network, address string) bunyan.SyslogOptions {
	return bunyan.SyslogOptions{Network: network, Address: address, Facility: 16, Name: "moray", Hostname: "vm", PID: 77}
}

func loggerTo(s *bunyan.Syslog) *slog.Logger {
	return slog.New(atNoon{bunyan.NewHandler(s, bunyan.Options{Name: "moray", Hostname: "vm", PID: 77, Level: bunyan.LevelTrace})})
}

// wantLine is the datagram of a record at level, whose number in bunyan is number.
func wantLine(pri, number int, message string) string {
	return fmt.Sprintf(`<%d>2026-11-22T06:56:42.769Z vm moray[77]:`+
		`{"name":"moray","hostname":"vm","pid":77,"level":%d,"msg":"%s","time":"2026-11-22T06:56:42.769Z","v":0}`, pri, number, message)
}

func TestSyslogDatagrams(t *testing.T) {
	t.Parallel()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	unix, err := net.ListenPacket("unixgram", filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, server := range []net.PacketConn{udp, unix} {
		defer server.Close()
		s := bunyan.NewSyslog(syslogOptions(server.LocalAddr().Network(), server.LocalAddr().String()))
		stop := start(t, s)
		log := loggerTo(s)
		buffer := make([]byte, 1<<16)
		for _, c := range []struct {
			level       slog.Level
			pri, number int
		}{
			{bunyan.LevelFatal, 128, 60},
			{slog.LevelError, 131, 50},
			{slog.LevelWarn, 132, 40},
			{slog.LevelInfo, 134, 30},
			{slog.LevelDebug, 135, 20},
			{bunyan.LevelTrace, 135, 10},
		} {
			log.Log(t.Context(), c.level, "m")
			n, _, err := server.ReadFrom(buffer)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := string(buffer[:n]), wantLine(c.pri, c.number, "m"); got != want {
				t.Errorf("%v:\n got %s\nwant %s", c.level, got, want)
			}
		}
		log.Info(strings.Repeat("x", 1<<20)) // no datagram holds that
		log.Info("after the long one")
		n, _, err := server.ReadFrom(buffer)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := string(buffer[:n]), wantLine(134, 30, "after the long one"); got != want {
			t.Errorf("\n got %s\nwant %s", got, want)
		}
		if s.Lost() != 1 {
			t.Errorf("%d records lost, want 1", s.Lost())
		}
		stop()
	}
}

func TestSyslogReconnects(t *testing.T) {
	t.Parallel()
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	s := bunyan.NewSyslog(syslogOptions("tcp", server.Addr().String()))
	stop := start(t, s)
	defer stop()
	log := loggerTo(s)

	log.Info("first")
	conn, err := server.Accept()
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if want := wantLine(134, 30, "first") + "\n"; err != nil || line != want {
		t.Errorf("got %q, %v, want %q", line, err, want)
	}
	conn.(*net.TCPConn).SetLinger(0)
	conn.Close()

	// A write after the end of the connection tells; which record that is depends on when the reset arrives.
	next := make(chan net.Conn, 1)
	go func() {
		conn, _ := server.Accept()
		next <- conn
	}()
	for conn = nil; conn == nil; {
		select {
		case conn = <-next:
		case <-time.After(time.Millisecond):
			log.Info("again")
		}
	}
	defer conn.Close()
	log.Info("again")
	line, err = bufio.NewReader(conn).ReadString('\n')
	if want := wantLine(134, 30, "again") + "\n"; err != nil || line != want {
		t.Errorf("after the server came back: got %q, %v, want %q", line, err, want)
	}
}

// Records of a program that ends at once must not be lost, and no record may wait for a server that is away.
func TestSyslogDrains(t *testing.T) {
	t.Parallel()
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	s := bunyan.NewSyslog(syslogOptions("tcp", server.Addr().String()))
	log := loggerTo(s)
	const sent = 1500
	for i := range sent {
		log.Info(fmt.Sprint(i))
	}
	if got, want := s.Lost(), uint64(sent-1024); got != want {
		t.Errorf("%d records lost while the queue was full, want %d", got, want)
	}
	received := make(chan []string, 1)
	go func() {
		var all []string
		if conn, err := server.Accept(); err == nil {
			defer conn.Close()
			for lines := bufio.NewScanner(conn); lines.Scan(); {
				all = append(all, lines.Text())
			}
		}
		received <- all
	}()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Errorf("Run: %v", err)
	}
	var want []string
	for i := range 1024 {
		want = append(want, wantLine(134, 30, fmt.Sprint(i)))
	}
	if diff := cmp.Diff(want, <-received); diff != "" {
		t.Errorf("received (-want +got):\n%s", diff)
	}
}

func TestSyslogWithoutServer(t *testing.T) {
	t.Parallel()
	s := bunyan.NewSyslog(syslogOptions("unixgram", filepath.Join(t.TempDir(), "nobody")))
	stop := start(t, s)
	loggerTo(s).Info("lost")
	stop()
}
