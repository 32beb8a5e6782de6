package tools

import (
	"errors"
	"fmt"
	"strings"
)

// options are the options of a call, in their order.
type options struct {
	given  []option
	output string // of --output
}

type option struct {
	letter byte
	value  string
}

// common are the options that every tool takes, in getopt's notation.
const common = "Ab:h:p:S:v"

// longOptions are the long forms that the original knows, and ours.
var longOptions = map[string]byte{"bootstrap-domain": 'b', "host": 'h', "port": 'p', "service": 'S'}

// errHelp asks for the help text.
var errHelp = errors.New("help is wanted")

// parseOptions reads options as POSIX's getopt does: they may be bundled, their values may be attached, they end at the first
// operand, at -- or at a lone -.
func parseOptions(args []string, own string) (*options, []string, error) {
	o := &options{}
	accepted := common + own
	for len(args) > 0 {
		arg := args[0]
		switch {
		case arg == "--" || arg == "-":
			return o, args[1:], nil
		case strings.HasPrefix(arg, "--"):
			rest, err := o.long(arg[2:], args[1:])
			if err != nil {
				return nil, nil, err
			}
			args = rest
		case strings.HasPrefix(arg, "-"):
			rest, err := o.bundle(arg[1:], args[1:], accepted)
			if err != nil {
				return nil, nil, err
			}
			args = rest
		default:
			return o, args, nil
		}
	}
	return o, nil, nil
}

// long reads one long option and returns the arguments behind it.
func (o *options) long(arg string, rest []string) ([]string, error) {
	name, value, attached := strings.Cut(arg, "=")
	letter := longOptions[name]
	switch {
	case name == "help" && !attached:
		return nil, errHelp
	case letter == 0 && name != "output":
		return nil, illegal(name)
	case !attached && len(rest) == 0:
		return nil, requiresArgument(name)
	case !attached:
		value, rest = rest[0], rest[1:]
	}
	if letter == 0 {
		o.output = value
		return rest, nil
	}
	o.given = append(o.given, option{letter, value})
	return rest, nil
}

// bundle reads the options of one argument and returns the arguments behind it and their values.
func (o *options) bundle(letters string, rest []string, accepted string) ([]string, error) {
	for i := 0; i < len(letters); i++ {
		letter := letters[i]
		at := strings.IndexByte(accepted, letter)
		if at < 0 || letter == ':' {
			return nil, illegal(letters[i : i+1])
		}
		if at+1 == len(accepted) || accepted[at+1] != ':' {
			o.given = append(o.given, option{letter: letter})
			continue
		}
		value := letters[i+1:]
		if value == "" {
			if len(rest) == 0 {
				return nil, requiresArgument(letters[i:])
			}
			value, rest = rest[0], rest[1:]
		}
		o.given = append(o.given, option{letter, value})
		break
	}
	return rest, nil
}

func illegal(name string) error { return &usageError{"illegal option -- " + name} }

func requiresArgument(name string) error {
	return &usageError{"option requires an argument -- " + name}
}

// has reports whether an option was given.
func (o *options) has(letter byte) bool { return o.count(letter) > 0 }

// count returns how often an option was given.
func (o *options) count(letter byte) (n int) {
	for _, g := range o.given {
		if g.letter == letter {
			n++
		}
	}
	return n
}

// value returns the value of an option, the last one if it was given several times.
func (o *options) value(letter byte) (value string, given bool) {
	for _, g := range o.given {
		if g.letter == letter {
			value, given = g.value, true
		}
	}
	return value, given
}

// number returns the value of an option that is a number of the tool c.
func (c *call) number(letter byte) (n int, given bool, err error) {
	text, given := c.opts.value(letter)
	if !given {
		return 0, false, nil
	}
	n, ok := leadingNumber(text)
	if !ok {
		name := "-" + string(letter)
		if c.Name == "findobjects" && letter == 'o' {
			name = "-o / --offset" // so the original calls it there, and there alone
		}
		return 0, false, c.usage("unsupported value for %s: %q", name, text)
	}
	return n, true, nil
}

// leadingNumber reads the digits at the start of text, as JavaScript's parseInt does. Negative numbers are not accepted.
func leadingNumber(text string) (n int, ok bool) {
	text = strings.TrimLeft(text, " \t\n+")
	const most = 1 << 53
	for i := 0; i < len(text) && text[i]-'0' <= 9; i++ {
		n, ok = min(n*10+int(text[i]-'0'), most), true
	}
	return n, ok
}

// checkOutput refuses what --output does not know.
func (o *options) checkOutput() error {
	switch o.output {
	case "", "json", "yaml", "table":
		return nil
	}
	return &usageError{fmt.Sprintf("--output: %q is none of json, yaml, table", o.output)}
}
