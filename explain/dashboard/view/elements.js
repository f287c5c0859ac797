// What every component builds its nodes with. Text is only ever set as text, so nothing that a person types or a
// tokenizer returns is read as markup. Attributes that are null, undefined or false are left out.

function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) node.setAttribute(name, String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}
