package config

import (
	"errors"
	"fmt"
	"strconv"
)

// Override changes what the file says before it is checked. Of several that change the same thing the last one counts.
type Override func(*draft)

// WithPort sets the port of the RPC server.
func WithPort(port int) Override { return withNumber("port", port) }

// WithMonitorPort sets the port of the monitor server.
func WithMonitorPort(port int) Override { return withNumber("monitorPort", port) }

func withNumber(name string, n int) Override {
	return func(d *draft) {
		if root, ok := d.root.(object); ok {
			root[name] = float64(n)
			d.from([]string{"config", name}, sourceCommandLine)
		}
	}
}

// WithVerbose says how often -v was given. If at all, level and syslog of the file do not count.
func WithVerbose(count int) Override {
	return func(d *draft) {
		d.verbose = count
		root, _ := d.root.(object)
		if bunyan, ok := root["bunyan"].(object); ok && count > 0 {
			delete(bunyan, "level")
			delete(bunyan, "syslog")
		}
	}
}

// ParsePort returns the port that an argument of the command line stands for, 1 to 65535.
func ParsePort(text string) (int, error) {
	port, err := strconv.Atoi(text)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, portError(fmt.Sprintf("'%s': invalid number: %q", text, text))
	}
	if err != nil || port < 1 || port > 65535 {
		return 0, portError(text + ": should be in range 1-65535")
	}
	return port, nil
}

// portError says it as the original does, with a capital letter.
type portError string

func (e portError) Error() string { return "Invalid port " + string(e) }
