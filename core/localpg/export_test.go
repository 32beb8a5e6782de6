package localpg

import "context"

// FindBinDir returns the directory of the programs that Run would use for a new cluster.
func FindBinDir(ctx context.Context) (string, error) {
	return find(ctx, Config{}, 0)
}

func AptInstall(ctx context.Context, apt, name, conf string) error {
	return aptInstall(ctx, apt, name, conf, func(string) {})
}

var (
	Choose  = choose
	Install = install
	OpenLog = openLog
)

func (l *logFile) Last() string { return l.last() }
