package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"

	"aios/internal/kernel"

	toolv1 "aios/api/tool/v1"
)

// toolProvider registers a tool, runs its calls in this process, and calls it as an agent would.
func toolProvider(ctx context.Context, w *world) error {
	tools, admin := toolv1.NewToolServiceClient(w.conn), kernel.As(ctx, w.admin)
	name := "tools/shout-" + strings.ToLower(rand.Text()[:8])
	if _, err := tools.RegisterTool(admin, &toolv1.RegisterToolRequest{Tool: &toolv1.Tool{
		Name:        name,
		Description: "Says a text louder.",
		Effect:      toolv1.ToolEffect_TOOL_EFFECT_PURE,
		Driver:      &toolv1.Tool_Provider{Provider: &toolv1.ProviderDriver{}},

		ParametersSchemaJson: `{"type": "object", "properties": {"text": {"type": "string"}}}`,
	}}); err != nil {
		return err
	}
	inner, cancel := context.WithCancel(admin)
	defer cancel()
	taking, err := tools.TakeCalls(inner, &toolv1.TakeCallsRequest{
		Tools: []string{name}, Capacity: 1, ProcessId: rand.Text(),
	})
	if err != nil {
		return err
	}
	if _, err := taking.Recv(); err != nil { // a heartbeat says that the tool is taken
		return err
	}
	served := make(chan error, 1)
	go func() { served <- serve(ctx, w, taking) }()
	result, err := called(ctx, w, name)
	if err != nil {
		return err
	}
	if err := <-served; err != nil {
		return err
	}
	if result != `{"text": "HELLO"}` {
		return fmt.Errorf("the result is %s", result)
	}
	return nil
}

// serve runs one call.
func serve(ctx context.Context, w *world, taking toolv1.ToolService_TakeCallsClient) error {
	for {
		event, err := taking.Recv()
		if err != nil {
			return err
		}
		call := event.GetCall()
		if call == nil {
			continue
		}
		if !strings.Contains(call.ArgumentsJson, "hello") {
			return fmt.Errorf("the arguments are %s", call.ArgumentsJson)
		}
		_, err = toolv1.NewToolServiceClient(w.conn).CompleteCall(kernel.As(ctx, w.admin), &toolv1.CompleteCallRequest{
			Call: call.Call, LeaseId: call.LeaseId,
			Outcome: &toolv1.CompleteCallRequest_Result{
				Result: &toolv1.CallResult{ValueJson: `{"text": "HELLO"}`},
			},
		})
		return err
	}
}

func called(ctx context.Context, w *world, name string) (string, error) {
	events, err := toolv1.NewToolServiceClient(w.conn).CallTool(kernel.As(ctx, w.token), &toolv1.CallToolRequest{
		Tool: name, ArgumentsJson: `{"text": "hello"}`,
	})
	if err != nil {
		return "", err
	}
	for {
		event, err := events.Recv()
		if errors.Is(err, io.EOF) {
			return "", errors.New("the call ended without a result")
		}
		if err != nil {
			return "", err
		}
		if call := event.GetResult(); call != nil {
			if call.Error != nil {
				return "", fmt.Errorf("%s: %s", call.Error.Reason, call.Error.Message)
			}
			return call.Result.ValueJson, nil
		}
	}
}
