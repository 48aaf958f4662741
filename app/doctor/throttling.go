package doctor

import (
	"strings"

	"mssentinel/app/sentinel"
)

// throttlingQuestion is answered by what [sentinel.Client.Limit] noted: nobody sends a hundred requests to find out.
var throttlingQuestion = Question{"azure.throttling", "How does Sentinel tell that the limit of requests is reached?"}

func answerThrottling(f sentinel.LimitFacts) Answer {
	if f.Count == 0 {
		return notTried("no answer has told so since the start, and none is provoked")
	}
	answer := value("%d times; first %s: Retry-After %s, body %s, headers %s", f.Count, instant(f.At), f.RetryAfter, f.Body,
		strings.Join(f.Headers, ", "))
	answer.Effect = "Something else shares the limit of this application, or Sentinel counts otherwise than the App: uploads take longer."
	if f.RetryAfter == "missing" {
		answer.Effect += " Without Retry-After the App waits as the text says, else a whole minute."
	}
	return answer
}
