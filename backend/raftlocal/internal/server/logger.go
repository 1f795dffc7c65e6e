package server

import (
	"context"
	"log/slog"
)

// Logger is the logger to use where one may have been named. If none was, errors go to the
// process's own (slog.Default): a member that has ended, or that cannot go on, is not to go
// unheard. Nothing else does.
func Logger(named *slog.Logger) *slog.Logger {
	if named != nil {
		return named
	}
	return slog.New(loud{})
}

// loud hands errors on, to what is the process's logger when they come.
type loud struct{}

func (loud) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelError }

func (loud) Handle(ctx context.Context, r slog.Record) error {
	return slog.Default().Handler().Handle(ctx, r)
}

func (l loud) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l loud) WithGroup(string) slog.Handler      { return l }
