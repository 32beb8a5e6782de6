// Package config reads the server's configuration file and returns it checked.
//
// Files of the original Moray are accepted as they are; [schemas.Server] describes every key, and it is the check, the
// source of the defaults and the reference at the same time. What the original refused for no reason (cache, audit,
// queryTimeout) is accepted. The texts of errors are the original's, followed by what it did not say, such as the name of an
// unknown key.
//
// A [Config] is made in one place, by [Parse], and nobody edits it later. Packages take the pieces that they need; this one
// opens no file but the configuration and connects to nothing.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"
)

// Config is a checked configuration with all defaults filled in.
type Config struct {
	BindIP      string // address of both listeners
	Port        int    // of the RPC server, 0 to 65535; 0: the system chooses
	MonitorPort int    // of the monitor server, 0 to 65535; 0: no monitor server
	ServerUUID  string
	Datacenter  string
	ServiceName string // may be empty
	Log         Log
	// Exactly one of these is not nil: where PostgreSQL is, or where to find out which server of a cluster is the primary.
	Standalone *URL
	Manatee    *Cluster
	Patroni    *Cluster
	Pool       Pool
	Fast       Fast
	Plugins    []Plugin // in the order of their names
	Access     Access
	Requests   Requests
	Tracing    *Tracing // nil: there are no traces
	Reconcile  Reconcile
	Grace      time.Duration // for requests in flight at shutdown; more than 0

	settings []Setting
}

// Requests says what is noted about requests.
type Requests struct {
	Log  string        // name of the level of their records, in lower case
	Slow time.Duration // requests that take as long are slow; 0: none is
}

// Tracing says where traces of requests go.
type Tracing struct {
	Endpoint string // URL of the collector
	Sample   int    // of how many requests, in percent
}

// Plugin says how to run a program with hooks.
type Plugin struct {
	Name            string
	Enabled         bool
	Command         string // may be empty for one that is built in
	Args            []string
	SHA256          string // in hex, or empty
	Env             map[string]string
	PassEnv         []string
	Timeout         time.Duration // 0: not set
	Concurrency     int           // 1 or more
	Slow            time.Duration
	MaxMemory       uint64 // bytes; 0: no bound
	MemorySet       bool   // the file says MaxMemory
	MaxOpenFiles    uint64 // 0: no bound
	MaxAddressSpace uint64 // bytes; 0: no bound
}

// Reconcile says what is done with buckets that are defined in files.
type Reconcile struct {
	Directory string // empty for none
	Mode      string // off, check or apply
	Exit      bool   // end if the files cannot be applied at the start
	Reindex   bool   // fill new indexes
}

// Log says how much is logged, and where to.
type Log struct {
	Level   string  // name in lower case, or number, of the lowest level; "": the environment's or the program's default
	Verbose int     // how often -v was given: the default level is to be lowered so often, and Level and Syslog are not set
	Syslog  *Syslog // nil: log to stderr
}

// Syslog is a syslog server.
type Syslog struct {
	Type     string // udp, tcp or sys, which is the local server
	Facility string // as written; a name that nobody knows stands for user
	Host     string
	Port     int // 1 to 65535
}

// Cluster says where in ZooKeeper the state of a PostgreSQL cluster is, and how to log in to its primary.
type Cluster struct {
	Path           string   // of the Manatee shard, above the nodes state and election, or Patroni's; without a slash at the end
	Servers        []string // of the ensemble, host:port, at least one
	SessionTimeout time.Duration
	SpinDelay      time.Duration // between attempts to connect, at most
	Login          *URL          // has no host
}

// Pool bounds the connections to PostgreSQL.
type Pool struct {
	ConnectTimeout      time.Duration // 1 ms to 10 s
	CheckInterval       time.Duration // 0: idle connections are not checked
	MaxConnections      int           // 1 or more
	MinSpareConnections int           // at most MaxConnections
	MaxQueueLength      int           // 0: no bound
	TargetClaimDelay    time.Duration // more than 0
	QueryTimeout        time.Duration // for requests that bring none; 0: none
}

// Fast bounds what one connection of a client may cost.
type Fast struct {
	MaxFrameBytes int
	MaxInFlight   int // requests
	WriteTimeout  time.Duration
	UnsentBytes   int
}

// ParseError is a configuration file that could not be read, or that is not JSON.
type ParseError struct {
	Path string
	Err  error
}

// Error names the file and says what is wrong with it.
func (e *ParseError) Error() string {
	return fmt.Sprintf("Unable to parse configuration file %s: %v", e.Path, e.Err)
}

func (e *ParseError) Unwrap() error { return e.Err }

// InvalidError is a configuration that breaks rules, all of which are named.
type InvalidError struct{ Problems []string }

// Error lists the problems.
func (e *InvalidError) Error() string {
	return "InvalidMorayConfigError: " + strings.Join(e.Problems, ", ")
}

// Load reads and checks the configuration file at path. Variables of the process's environment count instead of what the file
// says, see [WithEnvironment], and the overrides instead of both. See [Parse].
func Load(path string, overrides ...Override) (c *Config, warnings []string, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		var in *fs.PathError
		if errors.As(err, &in) {
			err = in.Err // the text around it says which file
		}
		return nil, nil, &ParseError{path, err}
	}
	return Parse(path, text, append([]Override{WithEnvironment(os.Environ())}, overrides...)...)
}

// Parse checks the text of a configuration file. Name is its path: the text is YAML if that ends in .yaml or .yml, otherwise JSON.
// The overrides are applied to what the file says, in order, defaults are filled in, and the result is checked. The error is a
// *[ParseError] or an *[InvalidError].
//
// The warnings, one sentence each without a full stop, name what is in the file and has no effect or an unusual one.
//
// The environment variable MORAY_DB_NAME names the database of a cluster, if the file does not.
func Parse(name string, text []byte, overrides ...Override) (c *Config, warnings []string, err error) {
	format := decode
	if isYAML(name) {
		format = decodeYAML
	}
	root, err := format(text)
	if err != nil {
		return nil, nil, &ParseError{name, err}
	}
	d := draft{root: root}
	for _, override := range overrides {
		override(&d)
	}
	d.complete()
	if problems := append(d.wrong, d.problems()...); len(problems) > 0 {
		return nil, nil, &InvalidError{problems}
	}
	c, err = d.build()
	if err != nil {
		return nil, nil, &InvalidError{[]string{err.Error()}}
	}
	c.settings = d.settings()
	return c, d.warnings, nil
}
