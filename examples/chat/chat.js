const [said, state, form, name, text, problem] = ["said", "state", "form", "name", "text", "problem"].map((id) =>
  document.getElementById(id),
);

function show({ at, name, text }) {
  const when = document.createElement("time");
  when.dateTime = new Date(at * 1000).toISOString();
  when.textContent = new Date(at * 1000).toLocaleTimeString();
  const who = document.createElement("b");
  who.textContent = name;
  const line = document.createElement("li");
  line.append(when, " ", who, ": ", text);
  const atEnd = said.scrollHeight - said.scrollTop - said.clientHeight < 40;
  said.append(line);
  if (atEnd) line.scrollIntoView();
}

// A browser connects again by itself, and says which message was the last it had.
const events = new EventSource("events");
events.onopen = () => {
  state.textContent = "Connected.";
};
events.onerror = () => {
  state.textContent = "Connecting…";
};
events.onmessage = ({ data }) => show(JSON.parse(data));

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = JSON.stringify({ name: name.value, text: text.value });
  try {
    const answer = await fetch("say", { method: "POST", headers: { "Content-Type": "application/json" }, body });
    problem.textContent = answer.ok ? "" : await answer.text();
    if (answer.ok) text.value = "";
  } catch {
    problem.textContent = "That did not arrive. Try again.";
  }
  text.focus();
});
