package top

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
)

// Show shows report after report on a terminal, until somebody quits or ctx ends. A server that does not answer is waited for.
func Show(ctx context.Context, w *Watch, interval time.Duration, in io.Reader, out io.Writer) error {
	s := &screen{ctx: ctx, watch: w, interval: interval}
	_, err := tea.NewProgram(s, tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out), tea.WithoutSignalHandler()).Run()
	if errors.Is(err, tea.ErrProgramKilled) && ctx.Err() != nil {
		return nil
	}
	return err
}

// screen is the model of bubbletea's program.
type screen struct {
	ctx      context.Context //nolint:containedctx // because bubbletea's commands take none
	watch    *Watch
	interval time.Duration

	width, height int
	report        *Report
	err           error // why there is no newer report
	paused        bool
}

type (
	looked struct {
		report *Report
		err    error
	}
	lookAgain struct{}
)

// Init implements tea.Model.
func (s *screen) Init() tea.Cmd { return s.look }

// look is a command.
func (s *screen) look() tea.Msg {
	ctx, cancel := context.WithTimeout(s.ctx, 10*time.Second)
	defer cancel()
	report, err := s.watch.Next(ctx)
	return looked{report, err}
}

// Update implements tea.Model.
func (s *screen) Update(message tea.Msg) (tea.Model, tea.Cmd) {
	switch m := message.(type) {
	case looked:
		if s.err = m.err; m.err == nil {
			s.report = m.report
		}
		return s, tea.Tick(s.interval, func(time.Time) tea.Msg { return lookAgain{} })
	case lookAgain:
		if s.paused {
			return s, tea.Tick(s.interval, func(time.Time) tea.Msg { return lookAgain{} })
		}
		return s, s.look
	case tea.WindowSizeMsg:
		s.width, s.height = m.Width, m.Height
	case tea.KeyPressMsg:
		switch m.String() {
		case "q", "esc", "ctrl+c":
			return s, tea.Quit
		case "space", "p":
			s.paused = !s.paused
		}
	}
	return s, nil
}

// View implements tea.Model.
func (s *screen) View() tea.View {
	view := tea.NewView(s.text())
	view.AltScreen = true
	view.WindowTitle = "moray top"
	return view
}

// text is what stands on the screen: its last line says which keys there are.
func (s *screen) text() string {
	var b strings.Builder
	switch {
	case s.report != nil:
		s.report.WriteText(&b, s.width) //nolint:errcheck // because a Builder takes everything
	case s.err == nil:
		fmt.Fprintf(&b, "asking %s\n", s.watch.Client.Base)
	}
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	last := "q quits, space pauses"
	if s.paused {
		last = "paused: space goes on, q quits"
	}
	if s.err != nil {
		last = "no answer: " + clean(s.err.Error()) + "; q quits"
	}
	if room := s.height - 1; room > 0 {
		lines = lines[:min(len(lines), room)]
		for len(lines) < room {
			lines = append(lines, "")
		}
	}
	return strings.Join(append(lines, cut(last, s.width)), "\n")
}
