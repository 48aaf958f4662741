// Command storybook shows every screen in every state, with made-up data and without a Service behind it, and takes the
// README's pictures. package.sh starts it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8410", "address of the storybook; port 0 picks a free one")
	pictures := flag.String("pictures", "", "folder to write the README's pictures to, instead of serving; needs Chromium")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "storybook: %q is no option: -h lists them\n", flag.Arg(0))
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	run := func() error { return serveStories(ctx, *addr) }
	if *pictures != "" {
		run = func() error { return takePictures(ctx, *pictures) }
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "storybook:", err)
		os.Exit(1)
	}
}

// serveStories serves until ctx ends.
func serveStories(ctx context.Context, addr string) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("%w: name another address with -addr", err)
	}
	server := &http.Server{Handler: newHandler(), ReadHeaderTimeout: time.Minute}
	end := context.AfterFunc(ctx, func() { server.Close() }) //nolint:errcheck // it ends in any case
	defer end()
	fmt.Printf("\n  The storybook   http://%s/\n\nEnd with Ctrl-C.\n", listener.Addr())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
