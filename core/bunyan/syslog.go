package bunyan

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	queuedLines  = 1024            // records that wait while the server is slow or away
	retryDelay   = time.Second     // between attempts to connect, as in the original
	dialTimeout  = 5 * time.Second // of one attempt
	writeTimeout = 5 * time.Second // of one record
	drainTimeout = time.Second     // of everything that is left when Run is told to stop
)

// SyslogOptions say where a syslog server is and what stands in front of each record.
type SyslogOptions struct {
	Network  string // udp, tcp, or unixgram for the socket of the local server
	Address  string // host:port, or the path of the socket
	Facility int    // see [Facility]
	Name     string // of the program
	Hostname string // "" stands for the host's name
	PID      int    // 0 stands for the process's id
}

// Syslog is a [Sink] that sends records to a syslog server, each as
//
//	<PRI>2026-11-22T06:56:42.769Z hostname name[pid]:{...}
//
// one a datagram, or one a line over TCP. Logging never waits for the network: records go to a bounded queue that [Syslog.Run]
// empties, and those that find it full are counted and lost.
type Syslog struct {
	options SyslogOptions
	tag     string // what stands between the time and the record
	queue   chan []byte
	lost    atomic.Uint64
}

var _ Sink = (*Syslog)(nil)

// NewSyslog returns a sink whose records wait for [Syslog.Run].
func NewSyslog(o SyslogOptions) *Syslog {
	if o.Hostname == "" {
		o.Hostname, _ = os.Hostname() // an empty one is still a record
	}
	if o.PID == 0 {
		o.PID = os.Getpid()
	}
	return &Syslog{
		options: o,
		tag:     fmt.Sprintf(" %s %s[%d]:", o.Hostname, o.Name, o.PID),
		queue:   make(chan []byte, queuedLines),
	}
}

// Facility returns the number of the facility with the given name, and that of user for any other name, as the original
// did. The numbers are those of its library: cron is 15, and kern, which is 0, counts as not given.
func Facility(name string) int {
	switch name {
	case "mail":
		return 2
	case "daemon":
		return 3
	case "auth":
		return 4
	case "syslog":
		return 5
	case "lpr":
		return 6
	case "news":
		return 7
	case "uucp":
		return 8
	case "authpriv":
		return 10
	case "ftp":
		return 11
	case "cron":
		return 15
	}
	const local = "local"
	if n := len(local); len(name) == n+1 && name[:n] == local && name[n]-'0' < 8 {
		return 16 + int(name[n]-'0')
	}
	return 1
}

// severity returns the severity of syslog for a level.
func severity(level slog.Level) int {
	switch {
	case level >= LevelFatal:
		return 0
	case level >= slog.LevelError:
		return 3
	case level >= slog.LevelWarn:
		return 4
	case level >= slog.LevelInfo:
		return 6
	}
	return 7
}

// WriteRecord implements [Sink]. It never blocks and its error is always nil: see [Syslog.Lost].
func (s *Syslog) WriteRecord(level slog.Level, at time.Time, record []byte) error {
	record = bytes.TrimSuffix(record, []byte("\n"))
	line := make([]byte, 0, len(record)+len(s.tag)+32)
	line = strconv.AppendInt(append(line, '<'), int64(s.options.Facility*8+severity(level)), 10)
	line = at.UTC().AppendFormat(append(line, '>'), javaScriptTime)
	line = append(append(line, s.tag...), record...)
	if s.options.Network == "tcp" {
		line = append(line, '\n')
	}
	select {
	case s.queue <- line:
	default:
		s.lost.Add(1)
	}
	return nil
}

// Lost returns how many records were lost so far: because the queue was full, or because sending them failed.
func (s *Syslog) Lost() uint64 { return s.lost.Load() }

// Run sends records until ctx ends, and then what is still queued, for a second at most. While the server cannot be reached
// it tries again every second. Run is called once; it returns nil.
func (s *Syslog) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if conn, err := s.dial(ctx, dialTimeout); err == nil {
			s.send(ctx, conn)
			conn.Close()
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryDelay):
		}
	}
	if len(s.queue) == 0 {
		return nil
	}
	if conn, err := s.dial(context.WithoutCancel(ctx), drainTimeout); err == nil {
		s.drain(conn)
		conn.Close()
	}
	return nil
}

func (s *Syslog) dial(ctx context.Context, timeout time.Duration) (net.Conn, error) {
	d := net.Dialer{Timeout: timeout}
	return d.DialContext(ctx, s.options.Network, s.options.Address)
}

// send writes records to conn as they come, until conn fails or ctx ends.
func (s *Syslog) send(ctx context.Context, conn net.Conn) {
	for {
		select {
		case <-ctx.Done():
			return
		case line := <-s.queue:
			conn.SetWriteDeadline(time.Now().Add(writeTimeout))
			if !s.write(conn, line) {
				return
			}
		}
	}
}

// drain writes what is queued.
func (s *Syslog) drain(conn net.Conn) {
	conn.SetWriteDeadline(time.Now().Add(drainTimeout))
	for {
		select {
		case line := <-s.queue:
			if !s.write(conn, line) {
				return
			}
		default:
			return
		}
	}
}

// write reports whether conn can be used further. A datagram that is refused or too long says nothing about the next one.
func (s *Syslog) write(conn net.Conn, line []byte) bool {
	if _, err := conn.Write(line); err != nil {
		s.lost.Add(1)
		return s.options.Network != "tcp"
	}
	return true
}
