package localpg

import "context"

// FindBinDir returns the directory of the programs that Run would use for a new cluster.
func FindBinDir(ctx context.Context) (string, error) {
	p, err := find(ctx, Config{}, 0)
	return p.dir, err
}

func Choose(ctx context.Context, dirs []string, want int) (string, error) {
	p, err := choose(ctx, dirs, want)
	return p.dir, err
}

func AptInstall(ctx context.Context, apt, name, conf string) error {
	return aptInstall(ctx, apt, name, conf, func(string) {})
}

var (
	Install = install
	OpenLog = openLog
)

func (l *logFile) Last() string { return l.last() }
