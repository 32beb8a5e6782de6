// Command moray is the server and its tools. There is one file a subcommand.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/kaizengarden/moray/cmd/moray/tools"
)

func main() {
	if runsServer(withServe(os.Args[1:])) {
		relaxTimers()
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	// A second signal finds the default action: it ends the process at once.
	context.AfterFunc(ctx, stop)
	args := os.Args[1:]
	if name := filepath.Base(os.Args[0]); tools.Find(name) != nil {
		args = append([]string{name}, args...) // called by the name of a tool, through a link
	}
	os.Exit(run(ctx, args, os.Stdout, os.Stderr))
}

// run carries out one command line and returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := command()
	root.SetArgs(withServe(args))
	root.SetOut(stdout)
	root.SetErr(stderr)
	if err := root.ExecuteContext(ctx); err != nil {
		return report(err, stderr)
	}
	return 0
}

// runsServer reports whether a command line starts a server.
func runsServer(args []string) bool { return len(args) > 0 && (args[0] == "serve" || args[0] == "dev") }

// spareGC lets garbage grow to four times what is in use, unless GOGC says otherwise: a server holds a few MiB and would
// collect many times a second. GOMEMLIMIT bounds it where memory is short.
func spareGC() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
}

// withServe adds the word serve where it was left out: the original was started with options alone.
func withServe(args []string) []string {
	if len(args) == 0 || !strings.HasPrefix(args[0], "-") {
		return args
	}
	switch args[0] {
	case "-h", "--help", "--version":
		return args
	}
	return append([]string{"serve"}, args...)
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:   "moray",
		Short: "A JSON key-value and search server over PostgreSQL",
		Long: `moray stores JSON objects in buckets over PostgreSQL and finds them by their fields.
It speaks the node-fast protocol: clients of Joyent's Moray work with it as they are.`,
		Example: `  moray dev                    a server with a PostgreSQL of its own, for trying things out
  moray serve -f config.json   a server as configured`,
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.Flags().Bool("version", false, "print the version of this program") // without cobra's -v, which serve has
	root.SetVersionTemplate("moray {{.Version}}\n")
	root.AddGroup(&cobra.Group{ID: serverGroup, Title: "Servers, databases and buckets:"},
		&cobra.Group{ID: clientGroup, Title: "Tools of the client, as node-moray has them:"})
	for _, c := range []*cobra.Command{
		serveCommand(), devCommand(), initCommand(), configCommand(), clusterCommand(), topCommand(), bucketsCommand(), pluginCommand(),
		dumpCommand(), loadCommand(),
	} {
		c.GroupID = serverGroup
		root.AddCommand(c)
	}
	root.AddCommand(clientCommands()...)
	root.AddCommand(toolsCommand(), manCommand())
	root.InitDefaultCompletionCmd() // here, and not when it runs, so that the manual has it
	return root
}
